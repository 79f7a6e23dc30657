"""What a frugal race did, beside what the exhaustive one would have done, and why each candidate stopped. Plain data out."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from groundtune.decision.costs import cores
from groundtune.decision.frugality import Frugality
from groundtune.decision.plan import Plan
from groundtune.decision.race import Outcome, Work
from groundtune.decision.task import Task


def saved(plan: Plan, outcome: Outcome, task: Task) -> dict[str, Any]:
    """The section `race` of report.json.

    Core-minutes are planned ones for both races, so that what was left undone is counted in the measure of what was done; what
    the work really took stands among the stages. A training on a part of the pairs counts as that part.
    """
    how, course = plan.frugality, outcome.course
    if how is None or course is None:
        return {"kind": "exhaustive", "why": how.why if how else "", "looks": [], "ended": "", "work": None, "candidates": []}
    whole = {one.name: Work(len(task.test_ids), (1.0,) * len(task.folds) if one.rungs else ()) for one in how.entrants}
    done = {one.name: outcome.work.get(one.name, Work(0, ())) for one in how.entrants}
    return {
        "kind": "frugal",
        "why": "",
        "looks": course.evidence.spent(),
        "ended": course.ended,
        "work": {
            "done": _counted(how, done, task, timed=course.left),
            "exhaustive": _counted(how, whole, task, timed=whole),
        },
        "candidates": [
            {
                "name": one.name,
                "questions": course.stops[one.name].items,
                "learned": course.stops[one.name].learned if one.rungs else None,
                "answers": done[one.name].answers,
                "trainings": list(done[one.name].trainings),
                "why": course.stops[one.name].why,
                "left": one.name in course.left,
            }
            for one in how.entrants
        ],
    }


def _counted(how: Frugality, works: Mapping[str, Work], task: Task, *, timed: Container[str]) -> dict[str, float]:
    """`timed` are the candidates whose latency is measured."""
    seconds = 0.0
    for name, work in works.items():
        share = {
            "answer": work.answers / len(task.test_ids),
            "train": sum(work.trainings) / len(task.folds),
            "latency": float(name in timed),
        }
        seconds += sum(share.get(stage, 1.0) * planned for stage, planned in how.exhaustive[name].items())
    return {
        "core_minutes": seconds / 60 * cores(),
        "trainings": sum(sum(work.trainings) for work in works.values()),
        "answers": sum(work.answers for work in works.values()),
    }
