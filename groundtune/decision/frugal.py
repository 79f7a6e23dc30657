"""The frugal race on a real task: cuts it into looks, trains and answers what is asked for at each. It decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from groundtune.candidates.workshop import Weights
from groundtune.config import Decision
from groundtune.dataset.split import draw
from groundtune.decision.evidence import Entrant, Looks
from groundtune.decision.race import Outcome, Race, Work
from groundtune.decision.stopping import FEWEST_GROUPS, LOOKS, RISE, race, rungs_of
from groundtune.decision.task import Fold, Task
from groundtune.evaluation.bounded import Array
from groundtune.store.stages import digest
from groundtune.types import Candidate, Score, Tuning

_LIMITS = ("max_p95_seconds", "max_cost_per_1000", "max_memory_gb", "max_staleness_hours", "max_staleness_loss")


def looks_of(task: Task, *, seed: int) -> Looks:
    """The scored items in one random order by group, cut into looks.

    A cross-fitted race looks after each fold, whose groups are random already: then a tuned candidate is trained for the folds
    that were reached, and not for all. A sealed one looks at an eighth, a quarter, a half and all of the groups. A first look
    with fewer than ten groups is joined to the next.
    """
    by_id = task.by_id()
    group = {item: by_id[item].group for item in task.test_ids}
    if len(task.folds) > 1:
        parts = [list(fold.test) for fold in task.folds]
    else:
        order = sorted(set(group.values()), key=lambda name: digest([seed, name]))
        ends = [round(share * len(order)) for share in (0.0, *LOOKS)]
        names = [set(order[start:end]) for start, end in pairwise(ends)]
        parts = [[item for item in task.test_ids if group[item] in some] for some in names]
    parts = [part for part in parts if part]
    while len(parts) > 1 and len({group[item] for item in parts[0]}) < FEWEST_GROUPS:
        parts[:2] = [[*parts[0], *parts[1]]]
    items = tuple(item for part in parts for item in part)
    codes: dict[str, int] = {}
    groups = np.array([codes.setdefault(group[item], len(codes)) for item in items], dtype=np.int64)
    return Looks(items, tuple(int(end) for end in np.cumsum([len(part) for part in parts])), groups)


def why_exhaustive(config: Decision, looks: Looks) -> str:
    """Why this race cannot be frugal, in a sentence; empty when it can."""
    limits = [name for name in _LIMITS if getattr(config, name) is not None]
    limits += ["must_cite"] if config.must_cite else []
    if limits:
        return f"{', '.join(limits)} may exclude a candidate that others were dropped for"
    if len(looks.ends) < 2:
        return f"there are too few independent groups for a look before the last ({FEWEST_GROUPS} are needed for the first)"
    return ""


def entrant(candidate: Candidate, *, effort: float, pairs: int, training: float, answering: float) -> Entrant:
    """The candidate as the race sees it: `pairs` of one training, planned seconds of learning and answering everything.

    It learns a part first only where that, with the answers of a first look, costs at most half of learning all at once.
    """
    if candidate.tuning is None:
        return Entrant(candidate.name, effort)
    first = LOOKS[0] * answering
    cheap = training / RISE + first <= (training + first) / 2
    rungs = rungs_of(pairs) if cheap and _grows(candidate.tuning) else (1.0,)
    return Entrant(candidate.name, effort, rungs, training=effort * training / answering if answering else 0.0)


def _grows(tuning: Tuning) -> bool:
    """Whether all that it learns from are the task's own questions, so that a part of them is a part of its data."""
    return tuning.objective in ("sft", "raft") and not tuning.data and tuning.start is None


def part_of(fold: Fold, share: float, task: Task, *, seed: int) -> tuple[str, ...]:
    """About that share of a fold's training items, whole groups; each smaller part lies in the larger one."""
    if share >= 1:
        return fold.train
    larger = part_of(fold, share * RISE, task, seed=seed)
    by_id = task.by_id()
    return tuple(draw([by_id[item] for item in larger], max(1, round(share * len(fold.train))), seed=seed))


def run_frugal(
    exhaustive: Race,
    entrants: Sequence[Entrant],
    looks: Looks,
    *,
    margin: float,
    floor: float,
    seed: int,
) -> Outcome:
    """Probes, the race look by look, and the latency of those that are left."""
    outcome = Outcome()
    exhaustive.probe(outcome)
    work = _Work(exhaustive, looks, outcome)
    course = race(entrants, looks, measure=work.measure, margin=margin, floor=floor, seed=seed)
    outcome.course = course
    learned = course.seen.learned
    outcome.scores = {one.name: work.scores(one.name, learned[one.name]) for one in entrants if one.name in learned}
    outcome.work = {name: work.work(name) for name in learned}
    for (name, share), made in work.weights.items():
        (outcome.weights if share == learned[name] else outcome.rungs).setdefault(name, []).extend(made)
    left = [one for one in exhaustive.candidates if one.name in course.left]
    outcome.latency = exhaustive.measured_latency(left, outcome)
    return outcome


@dataclass
class _Work:
    """What was trained and answered so far."""

    race: Race
    looks: Looks
    outcome: Outcome
    known: dict[tuple[str, float], dict[str, Score]] = field(default_factory=dict)
    """(candidate, share learned) -> item -> score."""
    weights: dict[tuple[str, float], list[Weights]] = field(default_factory=dict)
    """The same -> one a fold, folds in their order."""

    def __post_init__(self) -> None:
        self._candidates = {one.name: one for one in self.race.candidates}

    def scores(self, name: str, learned: float) -> list[Score]:
        return sorted(self.known[name, learned].values(), key=lambda score: score.item)

    def measure(self, name: str, look: int, learned: float) -> Array:
        """[item] The primary metric on all items up to this look; NaN where it does not apply."""
        candidate = self._candidates[name]
        if self.race.before is not None and not any(other == name for other, _ in self.known):
            self.outcome.scores = self._complete()
            self.race.before(candidate, self.outcome)
        known = self.known.setdefault((name, learned), {})
        wanted = self.looks.items[: self.looks.ends[look]]
        missing = {item for item in wanted if item not in known}
        for number, fold in enumerate(self.race.task.folds):
            asked = tuple(item for item in fold.test if item in missing)
            if asked:
                weights = self._weights(candidate, number, learned) if candidate.tuning is not None else None
                scores = self.race.answered(candidate, number, Fold(fold.train, asked), weights, self.outcome)
                known.update({score.item: score for score in scores})
        return np.array([known[item].metrics.get(self.race.task.metric, np.nan) for item in wanted])

    def work(self, name: str) -> Work:
        answers = sum(len(found) for (other, _), found in self.known.items() if other == name)
        trainings = [share for (other, share), made in self.weights.items() if other == name for _ in made]
        return Work(answers, tuple(trainings))

    def _weights(self, candidate: Candidate, number: int, learned: float) -> Weights:
        made = self.weights.setdefault((candidate.name, learned), [])
        if number == len(made):
            fold, task = self.race.task.folds[number], self.race.task
            items = part_of(fold, learned, task, seed=self.race.seed)
            made.append(self.race.trained(candidate, number, items, self.outcome))
        return made[number]

    def _complete(self) -> dict[str, list[Score]]:
        """The candidates that answered everything: predictions rest on no part of the items."""
        whole = len(self.looks.items)
        return {name: self.scores(name, share) for (name, share), found in self.known.items() if len(found) == whole}
