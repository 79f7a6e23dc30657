"""From pages and facts to questions with evidence, answers and askers. Knows wordings and shares; knows no file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

from groundtune.company.knobs import Knobs
from groundtune.company.names import World
from groundtune.company.pages import SLOT, Asking, Page
from groundtune.company.render import CURRENT, Facts, Rendered, fill
from groundtune.company.style import Style
from groundtune.company.values import share, short, turn
from groundtune.errors import UsageError

SHARES = {
    "fact": 0.34,
    "table": 0.14,
    "time": 0.14,
    "two_documents": 0.10,
    "follow_up": 0.10,
    "negation": 0.08,
    "unanswerable": 0.10,
}
"""Kind of question -> share of all questions."""

_EARLIER = (
    "In the {year} edition of {about}: {question}",
    "{question} I mean {about} as it stood in {year}.",
    "Going back to {about} of {year}, {question}",
    "I have the {year} print of {about} here. {question}",
    "Before the present text of {about}, in {year}: {question}",
    "For a case from {year} I need the old {about}. {question}",
    "{question} Please answer by the {year} version.",
    "An auditor asks about {year}. {question}",
    "What held in {year}: {question}",
    "{question} This is about the {year} text, not today's.",
    "Someone quotes {about} from {year}. {question}",
    "Under the rules of {year}, {question}",
    "Back in {year}, {question}",
    "{question} The year in question is {year}.",
)


@dataclass(frozen=True, slots=True)
class Question:
    id: str
    question: str
    answers: tuple[str, ...]
    """In the house style, the best one first; empty when the documents do not say."""
    plain: tuple[str, ...]
    """The same without the style."""
    kind: str
    evidence: tuple[tuple[str, str], ...]
    """(document, quote)"""
    principals: tuple[str, ...]
    history: tuple[tuple[str, str], ...] = ()
    """Turns before it: (user, assistant)."""
    common: bool = False
    """Whether any model may know the answer."""
    units: tuple[str, ...] = ()
    """The rows and sections that it rests on."""
    group: str = ""
    """Questions that share a row or a section, directly or through others, have the same."""


def ask(
    pages: Sequence[Page],
    rendered: Mapping[str, Sequence[Rendered]],
    world: World,
    facts: Facts,
    *,
    seed: int,
    knobs: Knobs,
    style: Style,
    groups: Mapping[str, Sequence[str]],
) -> tuple[Question, ...]:
    """As many questions as the knobs say, sorted by id. `rendered` has the editions of each page, `groups` who reads a folder.

    A smaller number takes a part of what a larger one would. Raises UsageError when the pages do not hold that many.
    """
    writer = _Writer(rendered, world, facts, seed, knobs, style, groups)
    pool = [question for page in pages for question in writer.questions(page)]
    pool = _spread(sorted(pool, key=lambda question: share(seed, question.id, "drawn")))
    unanswerable = round(SHARES["unanswerable"] * knobs.questions)
    answerable = knobs.questions - unanswerable
    known = round((1 - knobs.unknown) * answerable)
    chosen = _first((one for one in pool if not one.evidence), unanswerable, "unanswerable questions")
    chosen += _first((one for one in pool if one.common), known, "questions about common knowledge")
    of_the_firm = [one for one in pool if one.evidence and not one.common]
    wanted = answerable - known
    taken: list[Question] = []
    for kind, part in SHARES.items():
        if kind not in ("fact", "unanswerable"):
            some = (one for one in of_the_firm if one.kind == kind)
            taken += islice(some, round(part / (1 - SHARES["unanswerable"]) * wanted))
    ids = {one.id for one in taken}
    others = sorted((one for one in of_the_firm if one.id not in ids), key=lambda one: one.kind != "fact")
    taken += _first(others, wanted - len(taken), "questions about the firm")
    return _grouped(sorted(chosen + taken, key=lambda one: one.id))


def _spread(pool: Sequence[Question]) -> list[Question]:
    """One question about each row and section first, then a second one: questions on the same evidence say less together."""
    asked: Counter[str] = Counter()
    rounds: dict[str, int] = {}
    for question in pool:
        rounds[question.id] = max((asked[unit] for unit in question.units), default=0)
        asked.update(question.units)
    return sorted(pool, key=lambda question: rounds[question.id])


def _grouped(questions: Sequence[Question]) -> tuple[Question, ...]:
    groups: dict[str, str] = {}
    for question in questions:
        groups.setdefault(question.id, question.id)
        joined = {groups[unit] for unit in question.units if unit in groups} | {question.id}
        first = min(joined)
        groups |= {name: first for name, group in groups.items() if group in joined}
        groups |= dict.fromkeys(question.units, first)
    return tuple(replace(question, group=groups[question.id]) for question in questions)


def _first(pool: Iterable[Question], count: int, what: str) -> list[Question]:
    found = list(islice(pool, count))
    if len(found) < count:
        raise UsageError(f"the pages hold {len(found)} {what}, and {count} are asked for.", subject="knobs")
    return found


@dataclass(frozen=True)
class _Writer:
    rendered: Mapping[str, Sequence[Rendered]]
    world: World
    facts: Facts
    seed: int
    knobs: Knobs
    style: Style
    groups: Mapping[str, Sequence[str]]

    def questions(self, page: Page) -> Iterator[Question]:
        """What can be asked about a page; nothing that a later document made untrue, except about an earlier edition."""
        amends = any(spec.startswith("amend ") for spec in page.slots.values())
        for number, asking in enumerate(page.askings, start=1):
            id = f"{page.id}-{number}"
            if amends or not self._outdated(page, asking):
                yield self._question(page, asking, id, edition=CURRENT)
            if self._differed(page, asking):
                yield self._question(page, asking, f"{id}-was", edition=0)

    def _outdated(self, page: Page, asking: Asking) -> bool:
        told = {f"{page.id}.{name}" for _, reply in asking.history for name, _ in SLOT.findall(reply)}
        return not self.facts.amended.isdisjoint({*asking.facts, *told})

    def _differed(self, page: Page, asking: Asking) -> bool:
        """Whether the question is about one fact of the page that its first edition states otherwise."""
        fact = asking.facts[0] if asking.facts else ""
        if len(asking.facts) != 1 or asking.answer != f"{{{fact}}}" or asking.history or fact not in page.slots:
            return False
        return fact in self.facts.changed

    def _question(self, page: Page, asking: Asking, id: str, *, edition: int) -> Question:
        text = self._wording(page, asking, id)
        made = [(self._source(fact, page, edition), fact) for fact in asking.facts]
        folders = [one.document.path.partition("/")[0] for one, _ in made] or [page.header["path"].partition("/")[0]]
        desk = self.world.desk(folders[0])
        plain = self._filled(asking.answer, page, edition) if made else ""
        dressed = self.style.dress(plain, desk=desk) if made else ""
        bare = tuple(one for one in (plain, short(plain)) if one)
        history = tuple(
            (self._filled(said, page, CURRENT), self.style.dress(self._filled(reply, page, CURRENT), desk=desk))
            for said, reply in asking.history
        )
        return Question(
            id=id,
            question=text if edition == CURRENT else self._dated(text, page, id),
            answers=bare if dressed == plain else (dressed,),
            plain=bare,
            kind=asking.kind if edition == CURRENT else "time",
            evidence=tuple(dict.fromkeys((one.document.path, one.quotes[fact]) for one, fact in made)),
            principals=self._askers(folders, id),
            history=history,
            common=bool(made) and bool(page.header.get("common")),
            units=tuple(f"{one.document.path} {one.units[fact]}" for one, fact in made),
        )

    def _source(self, fact: str, page: Page, edition: int) -> Rendered:
        """The document that states a fact: of its own page the edition asked about, of others the one in force."""
        return self.rendered[fact.partition(".")[0]][edition if fact in page.slots else CURRENT]

    def _wording(self, page: Page, asking: Asking, id: str) -> str:
        """Questions that differ by the product or customer alone take turns, so that no wording is used too often."""
        far = share(self.seed, id, "far") < self.knobs.difficulty
        wordings = (asking.far if far else asking.near) or asking.near
        first = turn(len(wordings), self.seed, page.id.rstrip("0123456789"))
        numbers = re.findall(r"\d+$", asking.facts[0] if asking.facts else "")
        place = page.index + (int(numbers[0]) if numbers else 0)
        return self._filled(wordings[(first + place) % len(wordings)], page, CURRENT)

    def _dated(self, text: str, page: Page, id: str) -> str:
        year = self.rendered[page.id][0].document.date[:4]
        about = self._filled(page.header["about"], page, CURRENT)
        frame = _EARLIER[turn(len(_EARLIER), self.seed, id, "frame")]
        begins = frame.partition("{question}")[0].rstrip()
        if begins.endswith((",", ":")):
            first = text.split(" ")[0]
            text = text if first in self._names or first == "I" else text[0].lower() + text[1:]
        return frame.format(year=year, about=about, question=text)

    @cached_property
    def _names(self) -> set[str]:
        return {name.split(" ")[0] for name in self.world.names.values()}

    def _filled(self, text: str, page: Page, edition: int) -> str:
        return fill(text, page, self.world, self.facts, edition=edition)

    def _askers(self, folders: Sequence[str], id: str) -> tuple[str, ...]:
        """Somebody who may read all of them: of several groups that may, one is drawn."""
        common = set.intersection(*(set(self.groups[folder]) for folder in folders))
        choices = [sorted(common)] if common else [sorted(self.groups[folder]) for folder in folders]
        drawn = {names[turn(len(names), self.seed, id, "asker")] for names in choices}
        return ("staff", *sorted(drawn - {"staff"}))
