"""Reads the pages of `pages/`: text with slots for facts, and the questions about them. Knows their notation; draws no value.

A page is Markdown below a TOML header between `+++`. `{days: 24..31 days}` is a fact with its specification (`values.draw`),
`{days}` the same fact again, `{leave.days}` that of another page, `{product.2.name}` a name, `[[one || other]]` a choice of
wording. Lines about the facts above them:

    ? days | How many days of leave does everyone have?      in the document's words; `+` begins another wording
    ~ How much holiday is there?                             in an asker's words
    < How long is the trial period? | {trial}                a turn before the question, with its answer
    ! How many days of leave do apprentices have?            nothing in the documents answers this

After `?` stand the facts, then optionally the kind of question and `= answer`. `@product ` before a line or question repeats it
for every product (`@product[0:3] ` for the first three), with its number in place of each `@`, and that of what it is linked to
in place of `@` and the link's name. A page with `each = "product"` is repeated as a whole.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from groundtune.company.names import World
from groundtune.errors import DataError

SLOT = re.compile(r"\{([a-z_][\w.-]*)(?::\s*([^{}]+))?\}")
_LOOP = re.compile(r"@([a-z]+)(?:\[(\d+):(\d+)\])? (.*)")
_HEADER = frozenset({"path", "each", "editions", "date", "about", "kind", "sender", "to", "common"})
_MARKS = ("? ", "+ ", "~ ", "< ", "! ")
_CONTINUES = ("+ ", "~ ", "< ")


@dataclass(frozen=True, slots=True)
class Asking:
    """A question that can be asked, in several wordings; texts still have their slots."""

    facts: tuple[str, ...]
    """Keys of the facts that answer it; empty when nothing does."""
    kind: str
    answer: str
    near: tuple[str, ...]
    far: tuple[str, ...]
    history: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    id: str
    """Of the page and, where there are several, its number: `leave`, `manual3`."""
    index: int
    """Which one of several; 0 for a page that stands alone."""
    header: Mapping[str, Any]
    body: str
    slots: Mapping[str, str]
    """Key (`leave.days`) -> specification, in the order of the page."""
    askings: tuple[Asking, ...] = field(default=())


def read_pages(world: World) -> tuple[Page, ...]:
    """Every page for this world, by name."""
    folder = files("groundtune.company") / "pages"
    pages: list[Page] = []
    for source in sorted(folder.iterdir(), key=lambda one: one.name):
        if source.name.endswith(".md"):
            pages += _read(source.name.removesuffix(".md"), source.read_text(encoding="utf-8"), world)
    return tuple(pages)


def _read(name: str, text: str, world: World) -> Iterable[Page]:
    _, header_text, body = text.split("+++\n", 2)
    header = tomllib.loads(header_text)
    if strange := header.keys() - _HEADER:
        raise DataError(f"{sorted(strange)} are no keys of a page's header.", subject=name)
    group = header.get("each")
    if group is None:
        yield _page(name, 0, header, body, world)
        return
    for index in range(world.counts[group]):
        numbered = {key: _numbered(value, group, index, world) for key, value in header.items()}
        yield _page(f"{name}{index}", index, numbered, _numbered(body, group, index, world), world)


def _numbered(text: Any, group: str, index: int, world: World) -> Any:
    if not isinstance(text, str):
        return text
    links = world.links.get(group, [{}] * (index + 1))[index]
    for link, target in links.items():
        text = re.sub(rf"@{link}\b", str(target), text)
    return text.replace("@", str(index))


def _unrolled(body: str, world: World) -> Iterable[str]:
    lines = body.splitlines()
    position = 0
    while position < len(lines):
        found = _LOOP.match(lines[position])
        position += 1
        if found is None:
            yield lines[position - 1]
            continue
        block = [found[4]]
        if block[0].startswith("? "):
            while position < len(lines) and lines[position].startswith(_CONTINUES):
                block.append(lines[position])
                position += 1
        group = found[1]
        for index in range(int(found[2] or 0), min(int(found[3] or world.counts[group]), world.counts[group])):
            yield from (_numbered(line, group, index, world) for line in block)


def _page(id: str, index: int, header: Mapping[str, Any], body: str, world: World) -> Page:
    written: list[str] = []
    marked: list[str] = []
    for line in _unrolled(body, world):
        (marked if line.startswith(_MARKS) else written).append(line)
    text = "\n".join(written)
    in_tables = {name for line in written if line.startswith("|") for name, spec in SLOT.findall(line) if spec}
    slots = {f"{id}.{name}": spec.strip() for name, spec in SLOT.findall(text) if spec}
    askings = tuple(_askings(id, marked, {f"{id}.{name}" for name in in_tables}))
    return Page(id, index, header, text, slots, askings)


def _askings(id: str, lines: Iterable[str], in_tables: set[str]) -> Iterable[Asking]:
    blocks: list[list[str]] = []
    for line in lines:
        if line.startswith(_CONTINUES):
            blocks[-1].append(line)
        else:
            blocks.append([line])
    for first, *others in blocks:
        far = tuple(line[2:] for line in others if line.startswith("~ "))
        more = tuple(line[2:] for line in others if line.startswith("+ "))
        turns = [line[2:].split(" | ", 1) for line in others if line.startswith("< ")]
        history = tuple((turn[0], turn[1]) for turn in turns)
        if first.startswith("! "):
            yield Asking((), "unanswerable", "", (first[2:], *more), far, history)
            continue
        head, bar, question = first[2:].partition(" | ")
        if not bar:
            raise DataError(f"a question without a bar: {first!r}", subject=id)
        what, _, answer = head.partition(" = ")
        names, _, kind = what.replace(", ", ",").partition(" ")
        facts = tuple(name if "." in name else f"{id}.{name}" for name in names.split(","))
        kind = kind.strip() or ("table" if facts[0] in in_tables else "fact")
        yield Asking(
            facts, kind, answer.strip() or " and ".join(f"{{{fact}}}" for fact in facts), (question, *more), far, history
        )
