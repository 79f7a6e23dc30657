"""The frugal race on stored scores, beside the exhaustive comparison of the same items: what each names, and what it takes.

The race is the product's own (`groundtune.decision.stopping`). Work is counted at the seconds of the table's cells: answering,
and training on the same share of the pairs. What both races do alike is not counted: reading, indexing, loading, probes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from benchmarks.deciding.replay import MARGIN, READ, WRITE, Draws, costs, decide, floors
from benchmarks.deciding.situations import FOLDS
from benchmarks.deciding.standings import NEAR, usable
from benchmarks.deciding.table import Array, Codes, TaskTable
from benchmarks.deciding.tasks import TUNED, UNTUNED
from benchmarks.deciding.verdicts import KINDS
from benchmarks.simulate import flip_tails
from groundtune.candidates.standard import standard_candidate
from groundtune.config import Config
from groundtune.decision.evidence import Entrant, Looks, Seen
from groundtune.decision.frugal import entrant
from groundtune.decision.stopping import FEWEST_GROUPS, LOOKS, race
from groundtune.decision.verdict import decide_verdict
from groundtune.evaluation.bounded import BoundedValues
from groundtune.evaluation.statistics import FLIPS, Contrast
from groundtune.types import Interval, Score, Verdict

EVERYTHING = 0
"""Stands for all items of a task where a number of items is asked for."""
SIZES = (EVERYTHING, 100)
CUT_OFF = 0.5
"""A cell that took less than so much of what its tokens take elsewhere was cut off, and shows its last part only."""
_EXACT = int(np.log2(FLIPS))
"""Up to so many groups all flips are taken."""


@dataclass(frozen=True, slots=True)
class Named:
    """What a verdict says."""

    kind: str
    winner: str | None
    provisional: str | None


@dataclass
class Work:
    """What a race did."""

    seconds: float = 0.0
    answers: int = 0
    trainings: int = 0
    """On all pairs; one a fold."""
    parts: int = 0
    """On a part of them."""


@dataclass(frozen=True, slots=True)
class Raced:
    """One order of the items, raced both ways."""

    frugal: Named
    exhaustive: Named
    done: Work
    whole: Work
    agrees: bool
    """The same winner; or none in both, with provisional choices within NEAR of each other on all items."""

    @property
    def share(self) -> float:
        return self.done.seconds / self.whole.seconds if self.whole.seconds else 1.0


@dataclass(frozen=True)
class Races:
    """All orders of all tasks whose cells are there."""

    raced: Mapping[tuple[str, int], tuple[Raced, ...]]
    """(task, n) -> one an order; n is EVERYTHING for all items."""
    draws: Mapping[str, Draws]
    missing: Mapping[str, tuple[str, ...]]
    """Task -> the cells that the table lacks."""

    def tasks(self, n: int) -> list[str]:
        return [task for task, size in self.raced if size == n]

    def tuning_wins(self, task: str) -> bool:
        """Whether a tuned candidate is within NEAR of the best, on all items."""
        one = self.draws[task]
        means = one.scores.mean(axis=1)
        return any(name in TUNED and means.max() - mean <= NEAR for name, mean in zip(one.candidates, means, strict=True))


def races(tables: Mapping[str, TaskTable], *, orders: int, sizes: Sequence[int] = SIZES, seed: int = 0) -> Races:
    """Race every task that the table holds in so many orders of its items; a size that a task does not reach is left out."""
    ready = usable(tables, count=orders, seed=seed)
    pace, missing = pace_of(tables), dict(ready.missing)
    found: dict[tuple[str, int], tuple[Raced, ...]] = {}
    for task, draws in ready.draws.items():
        prepared = {n: _Task(draws, n or len(draws.items), pace) for n in sizes if n <= len(draws.items)}
        if absent := tuple(dict.fromkeys(name for one in prepared.values() for name in one.absent())):
            missing[task] = absent
        else:
            found |= {(task, n): one.race(seed) for n, one in prepared.items()}
    return Races(found, {task: ready.draws[task] for task, _ in found}, missing)


def pace_of(tables: Mapping[str, TaskTable]) -> float:
    """Median seconds of answering for what the embedded model is taken to do in one, over the cells of the candidates."""
    found = [
        seconds / (nominal * int(np.isfinite(table.values[key]).sum()))
        for table in tables.values()
        for key, seconds in table.answering.items()
        if key[0] in (*UNTUNED, *TUNED) and seconds > 0 and (nominal := _nominal(table, key))
    ]
    return float(np.median(found)) if found else 1.0


def seconds_of(table: TaskTable, key: tuple[str, int, float], pace: float) -> float:
    """Seconds of one answer: as measured, or from its tokens where the cell was cut off and went on."""
    measured = table.answering[key] / max(1, int(np.isfinite(table.values[key]).sum()))
    expected = pace * _nominal(table, key)
    return expected if measured < CUT_OFF * expected else measured


def _nominal(table: TaskTable, key: tuple[str, int, float]) -> float:
    read, written = table.tokens[key][np.isfinite(table.values[key])].mean(axis=0)
    return float(read / READ + written / WRITE)


def looks_of(groups: Codes, *, folds: int) -> tuple[Looks, tuple[int, ...]]:
    """The looks of items [item] whose groups count from 0 and stand together, and the folds that each look has reached.

    As `groundtune.decision.frugal.looks_of` cuts them; a fold is a random part of the groups, as the table does not know it.
    """
    count = int(groups[-1]) + 1
    shares = [(fold + 1) / folds for fold in range(folds)] if folds > 1 else list(LOOKS)
    ends = dict.fromkeys(round(share * count) for share in shares)
    reached = dict(zip(ends, range(1, folds + 1) if folds > 1 else [1] * len(ends), strict=True))
    kept = [end for end in ends if end >= min(FEWEST_GROUPS, count)]
    items = tuple(f"i{place:05d}" for place in range(len(groups)))
    looks = Looks(items, tuple(int(np.searchsorted(groups, end)) for end in kept), groups)
    return looks, tuple(reached[end] for end in kept)


class _Task:
    """One task at one number of items."""

    def __init__(self, draws: Draws, n: int, pace: float) -> None:
        self.draws, self.table, self.n, self.pace = draws, draws.task, n, pace
        self.folds = FOLDS.get(draws.task.task, 1)
        self.costs = dict(zip(draws.candidates, costs(draws).tolist(), strict=True))
        self.entrants = tuple(self._entrant(name) for name in draws.candidates)

    def _entrant(self, name: str) -> Entrant:
        key = name, 0, 1.0
        return entrant(
            standard_candidate(name, config=Config()),
            effort=self.costs[name],
            pairs=self.table.pairs[key],
            training=self.table.training[key],
            answering=self.n * seconds_of(self.table, key, self.pace),
        )

    def absent(self) -> tuple[str, ...]:
        """Cells of rungs that the race may ask for and that the table lacks."""
        wanted = [(one.name, rung) for one in self.entrants for rung in one.rungs]
        rows = {(name, rung): self.table.of(name, rung=rung) for name, rung in wanted}
        return tuple(
            f"{name} 1/{round(1 / rung)}"
            for (name, rung), row in rows.items()
            if row is None or not np.isfinite(row[self.draws.items]).all()
        )

    def race(self, seed: int) -> tuple[Raced, ...]:
        found = decide(self.draws, self.n, seed=seed)
        exhaustive = [
            self._named(KINDS[kind], self.draws.candidates[at]) for kind, at in zip(found.kind, found.choice, strict=True)
        ]
        floor, codes, drawn = floors(self.draws, self.n), self.draws.codes(self.n), self.draws.items[self.draws.drawn(self.n)]
        whole = Work()
        for one in self.entrants:
            self.answer(whole, one.name, 1.0, self.n)
            if one.rungs:
                self.train(whole, one.name, 1.0, self.folds)
        raced = []
        for row, other in enumerate(exhaustive):
            frugal, done = self._frugal(drawn[row], codes[row], float(floor[row]), seed)
            frugal, done = (other, whole) if frugal is None else (frugal, done)
            raced.append(Raced(frugal, other, done, whole, self._agree(frugal, other)))
        return tuple(raced)

    @staticmethod
    def _named(kind: str, choice: str) -> Named:
        won = kind in ("superior", "cheapest non-inferior")
        return Named(kind, choice if won else None, choice if kind == "inconclusive" else None)

    def _agree(self, one: Named, other: Named) -> bool:
        if one.winner or other.winner or one.kind != other.kind:
            return one.winner is not None and one.winner == other.winner
        if one.provisional is None or other.provisional is None:
            return True
        means = dict(zip(self.draws.candidates, self.draws.scores.mean(axis=1), strict=True))
        return bool(abs(means[one.provisional] - means[other.provisional]) <= NEAR)

    def _frugal(self, items: Codes, groups: Codes, floor: float, seed: int) -> tuple[Named | None, Work]:
        """What the frugal race names and does; nothing where there is one look, which is the exhaustive race."""
        looks, folds = looks_of(groups, folds=self.folds)
        if len(looks.ends) < 2:
            return None, Work()
        course_of = _Course(self, items, looks, folds)
        course = race(self.entrants, looks, measure=course_of.measure, margin=MARGIN, floor=floor, seed=seed, flip=quick_flip)
        rows = {name: course_of.rows(name, course.seen.learned[name])[: looks.ends[course.look]] for name in course.left}
        verdict = self._verdict(rows, looks, floor, course.seen)
        return Named(verdict.kind, verdict.winner, verdict.provisional), course_of.work

    def _verdict(self, rows: Mapping[str, Array], looks: Looks, floor: float, seen: Seen) -> Verdict:
        scores = {
            name: [
                Score(name, item, f"g{group:05d}", "", 0, 0, f"{name} answers", {"m": float(value)})
                for item, group, value in zip(looks.items, looks.groups, row, strict=False)
            ]
            for name, row in rows.items()
        }
        return decide_verdict(
            scores, metric="m", examples=[], costs=self.costs, margin=MARGIN, floor=floor, compare=untested, seen=seen
        ).verdict

    def answer(self, work: Work, name: str, learned: float, count: int) -> None:
        work.seconds += count * seconds_of(self.table, (name, 0, learned), self.pace)
        work.answers += count

    def train(self, work: Work, name: str, learned: float, folds: int) -> None:
        work.seconds += self.table.training[name, 0, learned] * folds / self.folds
        work.trainings += folds if learned == 1 else 0
        work.parts += folds if learned < 1 else 0


@dataclass
class _Course:
    """What one frugal race asked for so far."""

    task: _Task
    items: Codes
    looks: Looks
    folds: tuple[int, ...]
    work: Work = field(default_factory=Work)
    answered: dict[tuple[str, float], int] = field(default_factory=dict)
    trained: dict[tuple[str, float], int] = field(default_factory=dict)

    def rows(self, name: str, learned: float) -> Array:
        return np.asarray(self.task.table.values[name, 0, learned][self.items])

    def measure(self, name: str, look: int, learned: float) -> Array:
        key, end = (name, learned), self.looks.ends[look]
        if (more := end - self.answered.get(key, 0)) > 0:
            self.task.answer(self.work, name, learned, more)
            self.answered[key] = end
        if name in TUNED and (more := self.folds[look] - self.trained.get(key, 0)) > 0:
            self.task.train(self.work, name, learned, more)
            self.trained[key] = self.folds[look]
        return self.rows(name, learned)[:end]


def untested(first: Array, second: Array, _: Codes, *, margin: float, level: float = 0.95, seed: int = 0) -> Contrast:
    """Stands for `contrast` in a verdict that rests on the p-values of a race."""
    del margin, seed
    return Contrast(float((first - second).mean()), Interval(-1, 1, level, ""), 1.0, 1.0, 1.0, test="")


def quick_flip(sample: BoundedValues, *, seed: int) -> tuple[float, str]:
    """`sign_flip` with signs that are drawn once for all samples."""
    del seed
    sums = np.bincount(sample.groups, sample.values).astype(np.float64)
    sums = sums[np.abs(sums) > 1e-12]
    if len(sums) <= _EXACT:
        return float(flip_tails(np.random.default_rng(0), sums[np.newaxis])[0]) if len(sums) > 1 else 1.0, ""
    signs = _signs(64 * -(-len(sums) // 64))[:, : len(sums)]
    flipped, seen = signs @ sums.astype(np.float32), sums.sum()
    tail = min(int((flipped >= seen - 1e-5).sum()), int((flipped <= seen + 1e-5).sum()))
    return min(1.0, 2 * (tail + 1) / (FLIPS + 1)), ""


@lru_cache(maxsize=8)
def _signs(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(count).choice(np.array([-1.0, 1.0], dtype=np.float32), size=(FLIPS, count))
