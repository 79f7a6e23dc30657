"""From pages to documents: values put into slots, earlier editions, and the sentence that states each fact. Asks nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from groundtune.company.names import World
from groundtune.company.pages import SLOT, Page
from groundtune.company.values import draw, other, share, spelled, stream, turn
from groundtune.errors import DataError

_CHOICE = re.compile(r"\[\[(.+?)\]\]", re.DOTALL)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z{(\"])")
CURRENT = -1
"""Index of the edition in force."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document as text; files are made of it by `write`."""

    path: str
    """Below the documents' folder; its ending is the format."""
    title: str
    text: str
    """Markdown reduced to `#`, `##`, one-line paragraphs, `- ` items and tables."""
    kind: str
    date: str
    """ISO date from which it holds, or on which it was written."""
    readers: tuple[tuple[str, ...], ...]
    """Clauses: a reader holds one principal of each."""
    superseded_by: str | None = None
    """Path of the edition in force."""
    headers: tuple[tuple[str, str], ...] = ()
    """From, To and Subject of a mail."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A page in one edition."""

    document: Document
    quotes: Mapping[str, str]
    """Key of a fact -> the sentence or row that states it."""
    units: Mapping[str, str]
    """Key of a fact -> the finest part of the document that it shares with others: a row of a table, else a section."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The value of every fact in every edition of its page, oldest first."""

    values: Mapping[str, tuple[str, ...]]
    changed: frozenset[str]
    """Those that the first edition states otherwise."""
    amended: frozenset[str]
    """Those that a later document changed, so that their own page no longer tells the truth."""


def draw_facts(pages: Sequence[Page], world: World, *, seed: int, churn: float) -> Facts:
    """Values for every slot. Whether one changes is drawn by a number per fact, so more churn changes more of them."""
    names = world.groups()
    specs = {key: spec for page in pages for key, spec in page.slots.items()}
    editions = {key: len(page.header.get("editions", [""])) for page in pages for key in page.slots}
    values: dict[str, tuple[str, ...]] = {}
    changed: set[str] = set()
    late = [key for key, spec in specs.items() if spec.startswith("amend ")]
    for key, spec in specs.items():
        if spec.startswith(("as ", "= ")):
            values[key] = (world.names[spec[3:]] if spec.startswith("as ") else spec[2:],) * editions[key]
        elif key not in late:
            drawn = [draw(spec, names=names, source=stream(seed, key))]
            for edition in range(1, editions[key]):
                moved = share(seed, key, "churn") < churn
                drawn.append(other(drawn[-1], spec, names=names, source=stream(seed, key, edition)) if moved else drawn[-1])
            values[key] = tuple(drawn)
            if drawn[0] != drawn[-1]:
                changed.add(key)
    amended = {specs[key][6:] for key in late}
    for key in late:
        target = specs[key][6:]
        now = values[target][CURRENT]
        values[key] = (other(now, specs[target], names=names, source=stream(seed, key)),) * editions[key]
    return Facts(values, frozenset(changed), frozenset(amended))


def edit_facts(facts: Facts, pages: Sequence[Page], world: World, *, seed: int, share_edited: float) -> Facts:
    """The same facts with another value in force for this share of them, drawn by a number per fact as `draw_facts` does.

    Earlier editions stay, and so do names, common knowledge and which questions can be asked.
    """
    specs = {key: spec for page in pages if not page.header.get("common") for key, spec in page.slots.items()}
    values = dict(facts.values)
    for key, spec in specs.items():
        if spec.startswith(("as ", "= ")) or share(seed, key, "edited") >= share_edited:
            continue
        drawn_from = specs[spec[6:]] if spec.startswith("amend ") else spec
        now = other(values[key][CURRENT], drawn_from, names=world.groups(), source=stream(seed, key, "edited"))
        values[key] = (*values[key][:CURRENT], now)
    return replace(facts, values=values)


def render(
    page: Page, world: World, facts: Facts, *, seed: int, edition: int, readers: Mapping[str, Sequence[Sequence[str]]]
) -> Rendered:
    """One edition of a page; `readers` maps a folder to its clauses."""
    dates = page.header.get("editions") or [page.header["date"]]
    day = date.fromisoformat(dates[edition])
    extra = {"date": spelled(day), "year": str(day.year)}
    quotes: dict[str, str] = {}
    units: dict[str, str] = {}
    lines: list[str] = []
    heading = ""
    for line in _worded(page, seed=seed).splitlines():
        if line.startswith("|"):
            lines.append(fill(line, page, world, facts, edition=edition, extra=extra))
            cells = [cell.strip() for cell in lines[-1].strip().strip("|").split("|")]
            _note(quotes, page, line, " | ".join(cells))
            _note(units, page, line, " | ".join(cells))
            continue
        heading = line if line.startswith("#") else heading
        sentences = [(part, fill(part, page, world, facts, edition=edition, extra=extra)) for part in _SENTENCE_END.split(line)]
        lines.append(" ".join(made for _, made in sentences))
        for part, made in sentences:
            _note(quotes, page, part, made.removeprefix("- "))
            _note(units, page, part, heading)
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"
    path = fill(page.header["path"], page, world, facts, edition=edition, extra=extra)
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    headers = tuple(
        (name, fill(page.header[key], page, world, facts, edition=edition, extra=extra))
        for name, key in (("From", "sender"), ("To", "to"))
        if key in page.header
    )
    return Rendered(
        Document(
            path=_dated(path, day) if len(dates) > 1 else path,
            title=title[1] if title else path,
            text=text,
            kind=page.header.get("kind", "page"),
            date=day.isoformat(),
            readers=tuple(tuple(clause) for clause in readers[path.partition("/")[0]]),
            headers=headers,
        ),
        quotes,
        units,
    )


def fill(
    text: str, page: Page, world: World, facts: Facts, *, edition: int = CURRENT, extra: Mapping[str, str] | None = None
) -> str:
    """A text with its slots filled. Raises DataError for a slot that nothing defines."""

    def value(name: str) -> str:
        if extra and name in extra:
            return extra[name]
        if name in world.names:
            return world.names[name]
        own = f"{page.id}.{name}"
        if own in facts.values:
            return facts.values[own][edition]
        if name in facts.values:
            same_page = name.startswith(f"{page.id}.")
            return facts.values[name][edition if same_page else CURRENT]
        raise DataError(f"nothing defines {{{name}}}.", subject=f"page {page.id}")

    return SLOT.sub(lambda found: value(found[1]), text)


def _note(kept: dict[str, str], page: Page, template: str, made: str) -> None:
    for name, _ in SLOT.findall(template):
        key = f"{page.id}.{name}"
        if key in page.slots:
            kept.setdefault(key, made)


def _worded(page: Page, *, seed: int) -> str:
    """The body with every choice of wording made: pages of one kind take turns, so that none is used too often."""
    count = 0

    def choose(found: re.Match[str]) -> str:
        nonlocal count
        count += 1
        options = [option.strip() for option in found[1].split("||")]
        first = turn(len(options), seed, page.id.rstrip("0123456789"), count)
        return options[(first + page.index) % len(options)]

    return _CHOICE.sub(choose, page.body)


def _dated(path: str, day: date) -> str:
    """`a/b.md` -> `a/b-2026.md`."""
    stem, dot, ending = path.rpartition(".")
    return f"{stem}-{day.year}{dot}{ending}"
