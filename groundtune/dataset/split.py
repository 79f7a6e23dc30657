"""Groups of items that share evidence, and splits and folds that never cut through a group. Knows items, not documents."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from groundtune.errors import DataError, TooFewQuestions
from groundtune.types import Example, Split

SHARES: Mapping[Split, float] = {"train": 0.5, "dev": 0.1, "test": 0.4}
"""Shares of the items: comparing candidates needs as many test items as training needs examples."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """How independent a question set is: what a report prints before anything is spent."""

    items: int
    groups: int
    largest: str
    """The group with the most items."""
    largest_items: int

    @property
    def warning(self) -> str:
        """One sentence when one group holds half of the items or more, else empty."""
        if self.groups < 2 or 2 * self.largest_items < self.items:
            return ""
        return f"One group holds {self.largest_items} of {self.items} questions, so the figures speak mostly of it."


def grouping(examples: Iterable[Example]) -> Grouping:
    """Count items and groups. Raises DataError when an item has no group yet."""
    sizes = Counter(_group(example) for example in examples)
    largest = min(sizes, key=lambda group: (-sizes[group], group), default="")
    return Grouping(sum(sizes.values()), len(sizes), largest, sizes[largest])


def assign_groups(examples: Sequence[Example]) -> tuple[Example, ...]:
    """The same items, in order, each with its group: the finest unit across which no evidence is shared.

    Items are linked when their evidence lies in the same section of the same document, when they quote the same words of a
    document in which those were not located, and when they ask the same in the same conversation; a group is a connected
    component. A group that the file gives holds its items together and links to other groups only through items that have no
    given group. An item without any of these is its own group. The result does not depend on the order of the items.
    """
    touching: defaultdict[str, list[Example]] = defaultdict(list)
    names: dict[str, str] = {}
    for example in examples:
        for unit, name in _units(example):
            touching[unit].append(example)
            names[unit] = name
    components = _Components()
    for example in examples:
        if example.group:
            components.join(f"item {example.id}", f"given {example.group}")
    for items in touching.values():
        if any(not item.group for item in items):
            for item in items:
                components.join(f"item {item.id}", f"item {items[0].id}")
    given: defaultdict[str, set[str]] = defaultdict(set)
    found: defaultdict[str, set[str]] = defaultdict(set)
    ids: defaultdict[str, set[str]] = defaultdict(set)
    for example in examples:
        root = components.root(f"item {example.id}")
        ids[root].add(example.id)
        given[root] |= {example.group} - {""}
        found[root] |= {names[unit] for unit, _ in _units(example) if not example.group} - {""}

    def label(example: Example) -> str:
        root = components.root(f"item {example.id}")
        return " + ".join(sorted(given[root])) or min(found[root], default="") or min(ids[root])

    return tuple(replace(example, group=label(example)) for example in examples)


class _Components:
    """Connected components of named nodes."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def root(self, node: str) -> str:
        parent = self._parent
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = node = parent[parent[node]]
        return node

    def join(self, one: str, other: str) -> None:
        self._parent[self.root(one)] = self.root(other)


def _units(example: Example) -> list[tuple[str, str]]:
    """What an item shares with others when both have it, each with the name that a group takes from it ("": none)."""
    units = []
    for evidence in example.evidence:
        for section in evidence.sections:
            name = f"{evidence.document} > {section}" if section else evidence.document
            units.append((f"section {name}", name))
        if not evidence.sections:
            words = " ".join(evidence.quote.casefold().split())
            units.append((f"quote {evidence.document} {words}", ""))
    talk = [" ".join(text.casefold().split()) for text in (*(said.content for said in example.history), example.question)]
    return [*units, ("question " + "\n".join(talk), "")]


def split(examples: Sequence[Example], *, seed: int, shares: Mapping[Split, float] = SHARES) -> dict[str, Split]:
    """Item id -> train, dev or test; no group is cut; depends on ids, groups and the seed only, not on the order.

    Balanced by number of items, kind and answerability as far as whole groups allow. Raises TooFewQuestions when there are
    fewer groups than parts.
    """
    parts = [name for name, share in shares.items() if share > 0]
    placed = _place(examples, [shares[name] for name in parts], seed=seed)
    return {item: parts[part] for item, part in placed.items()}


def folds(examples: Sequence[Example], k: int, *, seed: int) -> list[list[str]]:
    """Item ids in k folds, each sorted; no group is cut; balanced and reproducible as `split`.

    Raises TooFewQuestions when there are fewer groups than folds.
    """
    if k < 2:
        raise DataError("cross-validation needs at least 2 folds.", subject=f"folds = {k}", remedy="Set folds to 2 or more.")
    placed = _place(examples, [1 / k] * k, seed=seed)
    return [sorted(item for item, part in placed.items() if part == fold) for fold in range(k)]


def draw(examples: Sequence[Example], count: int, *, seed: int) -> list[str]:
    """Ids of about `count` of the items, sorted; no group is cut; balanced and reproducible as `split`.

    All of them where there are no more than `count`, or one group.
    """
    if count >= len(examples) or len({_group(example) for example in examples}) < 2:
        return sorted(example.id for example in examples)
    part = count / len(examples)
    placed = _place(examples, [part, 1 - part], seed=seed)
    return sorted(item for item, where in placed.items() if where == 0)


def _place(examples: Sequence[Example], shares: Sequence[float], *, seed: int) -> dict[str, int]:
    """Largest groups first, each where the squared excess over the parts' shares, summed over strata, grows least."""
    members: defaultdict[str, list[Example]] = defaultdict(list)
    for example in examples:
        members[_group(example)].append(example)
    if len(members) < len(shares):
        raise TooFewQuestions(
            f"the questions form {len(members)} independent groups, and {len(shares)} parts are asked for.",
            needed=len(shares),
            remedy="Add questions about other sections or documents.",
        )
    strata = {group: Counter(name for one in items for name in _strata(one)) for group, items in members.items()}
    totals: Counter[str] = sum(strata.values(), Counter())
    order = sorted(members, key=lambda group: (-len(members[group]), _shuffled(group, seed)))
    filled: list[Counter[str]] = [Counter() for _ in shares]
    placed: dict[str, int] = {}
    for position, group in enumerate(order):
        empty = [part for part, counts in enumerate(filled) if not counts]
        open_parts = empty if len(order) - position <= len(empty) else range(len(shares))

        def growth(part: int, group: str = group) -> tuple[float, str]:
            share, counts = shares[part], filled[part]
            cost = sum(
                (2 * counts[name] + added) * added / (share * totals[name]) * (1 if name else 4)
                for name, added in strata[group].items()
            )
            return cost, _shuffled(f"{group}|{part}", seed)

        best = min(open_parts, key=growth)
        filled[best].update(strata[group])
        placed.update({example.id: best for example in members[group]})
    return placed


def _strata(example: Example) -> tuple[str, str]:
    return "", f"{example.kind}|{'answerable' if example.answers else 'unanswerable'}"


def _shuffled(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}|{name}".encode()).hexdigest()


def _group(example: Example) -> str:
    if not example.group:
        raise DataError("the item has no group.", subject=example.id, remedy="Call assign_groups first.")
    return example.group
