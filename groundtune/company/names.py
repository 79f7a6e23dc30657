"""Names of an invented firm and what it has: people, rooms, machines, customers. Knows syllables; knows no text."""

from __future__ import annotations

import csv
import random
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from groundtune.company.values import stream

_STARTS = (
    "B",
    "Br",
    "C",
    "D",
    "Dr",
    "F",
    "G",
    "Gr",
    "H",
    "J",
    "K",
    "Kr",
    "L",
    "M",
    "N",
    "P",
    "Pr",
    "R",
    "S",
    "Sk",
    "St",
    "T",
    "Tr",
    "V",
    "W",
    "Z",
)
_VOWELS = ("a", "e", "i", "o", "u", "ei", "au", "ie", "oa")
_MIDDLES = (
    "b",
    "d",
    "f",
    "g",
    "k",
    "l",
    "ll",
    "lv",
    "m",
    "nd",
    "nt",
    "r",
    "rr",
    "rv",
    "s",
    "sk",
    "ss",
    "st",
    "t",
    "th",
    "v",
    "z",
)
_ENDS = ("a", "e", "en", "ik", "o", "or", "us", "el", "ay", "in", "ur", "ett")
_TOWN_ENDS = ("sund", "wick", "mere", "ness", "holt", "vale")
_TRADES = ("Bakery", "Bakehouse", "Loaf Company", "Rolls", "Mill Bakery", "Patisserie", "Crust Works")
MACHINES = (
    "spiral mixer",
    "dough divider",
    "prover",
    "deck oven",
    "dough sheeter",
    "bread slicer",
    "cooling tower",
    "flour sifter",
)
"""What the firm builds, one of each."""
_ROLES = ("head of sales", "key account manager", "area manager north", "area manager south", "inside sales lead")
DESKS = ("handbook", "products", "sales", "service", "works", "management", "export")
"""Folders of documents; every one is kept by a desk."""

Names = Mapping[str, str]
"""`product.3.name` -> the name."""


@dataclass(frozen=True)
class World:
    """Who and what there is. `names` are flat, `counts` says how many of a group there are, `links` from item to item."""

    names: dict[str, str]
    counts: dict[str, int]
    links: dict[str, list[dict[str, int]]]

    def of(self, group: str) -> list[str]:
        """The names of a group, in order."""
        return [self.names[f"{group}.{index}.name"] for index in range(self.counts[group])]

    def groups(self) -> dict[str, list[str]]:
        return {group: self.of(group) for group in self.counts}

    def desk(self, folder: str) -> str:
        """The desk that keeps the documents of a folder."""
        return self.names[f"desk.{DESKS.index(folder)}.name"]

    def all(self) -> tuple[str, ...]:
        """Every invented name, the longest first."""
        return tuple(sorted(set(self.names.values()), key=lambda name: (-len(name), name)))


def world(seed: int) -> World:
    """The names of one firm."""
    source = stream(seed, "names")
    mint = _Mint(source)
    town, depot = mint.stem() + source.choice(_TOWN_ENDS), mint.stem() + source.choice(_TOWN_ENDS)
    names = {"firm": f"{mint.word()} Bakery Machines", "town": town, "depot": depot}
    counts: dict[str, int] = {}
    links: dict[str, list[dict[str, int]]] = {}

    def add(group: str, rows: list[dict[str, str]]) -> None:
        counts[group] = len(rows)
        for index, row in enumerate(rows):
            names.update({f"{group}.{index}.{field}": value for field, value in row.items()})

    add("site", [{"name": f"the {town} works", "town": town}, {"name": f"the {depot} depot", "town": depot}])
    add("desk", [{"name": f"{mint.word()} desk"} for _ in DESKS])
    products = []
    for machine in source.sample(MACHINES, len(MACHINES)):
        name = f"{mint.word()} {source.randrange(10, 95, 5)}"
        products.append({"name": name, "type": machine, "slug": name.lower().replace(" ", "-")})
    add("product", products)
    add("room", [{"name": f"{mint.word()} room"} for _ in products])
    add("person", [{"name": f"{mint.word()} {mint.stem()}"} for _ in range(16)])
    managers = [{"name": f"{mint.word()} {mint.stem()}", "role": role} for role in _ROLES]
    add("manager", managers)
    customers = []
    for index in range(18):
        name = f"{mint.word()} {_TRADES[index % len(_TRADES)]}"
        customers.append(
            {"name": name, "town": mint.stem() + source.choice(_TOWN_ENDS), "slug": name.lower().replace(" ", "-")}
        )
    add("customer", customers)
    links["customer"] = [
        {"manager": index % len(managers), "product": source.randrange(len(products))} for index in range(len(customers))
    ]
    links["product"] = [{"next": (index + 1) % len(products)} for index in range(len(products))]
    add("plan", [{"name": mint.word()} for _ in range(3)])
    add("queue", [{"name": mint.word().lower()} for _ in range(8)])
    with (files("groundtune.company") / "countries.csv").open(encoding="utf-8") as lines:
        add("country", list(csv.DictReader(lines)))
    return World(names, counts, links)


class _Mint:
    """Words that no two of begin alike."""

    def __init__(self, source: random.Random) -> None:
        self._source = source
        self._used: set[str] = set()

    def stem(self) -> str:
        while True:
            one = self._source
            made = one.choice(_STARTS) + one.choice(_VOWELS) + one.choice(_MIDDLES)
            if made[:4] not in self._used:
                self._used.add(made[:4])
                return made

    def word(self) -> str:
        return self.stem() + self._source.choice(_ENDS)
