"""What a frugal race takes at most and at least, beside the exhaustive one. Knows planned stages; runs nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from groundtune.config import Decision
from groundtune.decision.evidence import Entrant, Looks
from groundtune.decision.frugal import entrant, looks_of, why_exhaustive
from groundtune.decision.frugality import Frugality
from groundtune.decision.plan import PlannedStage
from groundtune.decision.race import Work
from groundtune.decision.task import Task
from groundtune.types import Candidate


def schedule(
    config: Decision,
    task: Task,
    candidates: Sequence[Candidate],
    per_candidate: Mapping[str, tuple[PlannedStage, ...]],
    pairs: Mapping[str, int],
) -> tuple[dict[str, tuple[PlannedStage, ...]], Frugality]:
    """The stages that are planned for each candidate, at most, and how the race is run. `pairs` are those of one training."""
    looks = looks_of(task, seed=config.seed)
    exhaustive = {name: {str(stage.name): stage.seconds for stage in stages} for name, stages in per_candidate.items()}
    entrants = tuple(
        entrant(
            one,
            effort=_effort(per_candidate[one.name]),
            pairs=pairs.get(one.name, 0),
            training=exhaustive[one.name].get("train", 0.0),
            answering=exhaustive[one.name]["answer"],
        )
        for one in candidates
        if one.name in per_candidate
    )
    why = why_exhaustive(config, looks) if config.race == "frugal" else ""
    if config.race == "exhaustive" or why:
        return dict(per_candidate), Frugality("exhaustive", why, (len(looks.items),), entrants, exhaustive, {})
    most = {
        one.name: scaled(per_candidate[one.name], most_work(one, looks, task), task, trained=bool(one.rungs))
        for one in entrants
    }
    least = _least(entrants, looks, task, per_candidate)
    return most, Frugality("frugal", "", looks.ends, entrants, exhaustive, least)


def most_work(one: Entrant, looks: Looks, task: Task) -> Work:
    """Everything that a candidate may have to learn and answer."""
    if not one.rungs:
        return Work(len(looks.items), ())
    return Work(len(looks.items) * len(one.rungs), tuple(share for share in one.rungs for _ in task.folds))


def scaled(
    stages: Sequence[PlannedStage], work: Work, task: Task, *, trained: bool, timed: bool = True
) -> tuple[PlannedStage, ...]:
    """The planned stages of the exhaustive race, for this much work."""
    items, folds = len(task.test_ids), len(task.folds)
    factor = {"answer": work.answers / items, "train": sum(work.trainings) / folds if trained else 0.0, "latency": float(timed)}
    found = [(stage, factor.get(stage.name, 1.0)) for stage in stages]
    return tuple(replace(stage, seconds=by * stage.seconds, money=by * stage.money) for stage, by in found)


def _least(
    entrants: Sequence[Entrant], looks: Looks, task: Task, per_candidate: Mapping[str, tuple[PlannedStage, ...]]
) -> dict[str, float]:
    """If the first look decides, or if the cheapest is perfect and all others drop out at the first look."""
    first = set(looks.items[: looks.ends[0]])
    folds = sum(bool(first.intersection(fold.test)) for fold in task.folds)
    cheapest = min((one for one in entrants if not one.rungs), key=lambda one: one.effort, default=None)
    early, spared = {}, {}
    for one in entrants:
        stages, answers = per_candidate[one.name], looks.ends[0]
        trainings = one.claimed[:1] * folds
        early[one.name] = _seconds(scaled(stages, Work(answers, trainings), task, trained=bool(one.rungs)))
        answers = len(looks.items) if one is cheapest else 0 if one.rungs else answers
        done = scaled(stages, Work(answers, ()), task, trained=bool(one.rungs), timed=one is cheapest)
        spared[one.name] = _seconds(done)
    return early if cheapest is None else min(early, spared, key=lambda some: sum(some.values()))


def _seconds(stages: Sequence[PlannedStage]) -> float:
    return sum(stage.seconds for stage in stages)


def _effort(stages: Sequence[PlannedStage]) -> float:
    """Money for answering everything once, or seconds where nothing has a price."""
    money = sum(stage.money for stage in stages if stage.name == "answer")
    return money or sum(stage.seconds for stage in stages if stage.name == "answer")
