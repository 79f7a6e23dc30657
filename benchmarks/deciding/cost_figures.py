"""Races both ways as flat figures with their goals. Knows what was raced; draws nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.deciding.cost import EVERYTHING, SIZES, Raced, Races
from benchmarks.harness import Figure, Goal, goal

CORES = 2
"""Of the machine of the cells; a minute is so many core-minutes."""
GROUPS = {"": "all", "_tuning": "with a tuned candidate within 2 points of the best", "_no_tuning": "without"}
"""Ending of a key -> which tasks it speaks of."""
AGREE, SHARE = 0.95, 1 / 3


def cost_figures(races: Races, *, sizes: Sequence[int] = SIZES) -> dict[str, Figure]:
    """Shares of 1 and core-minutes; a race of `_all` is on every item of its task."""
    figures: dict[str, Figure] = {
        "tasks_used_count": len(races.draws),
        "tasks_used": ", ".join(races.draws),
        "tasks_missing": "; ".join(f"{name}: {', '.join(absent)}" for name, absent in races.missing.items()),
        "orders_count": max((len(raced) for raced in races.raced.values()), default=0),
        "cores_count": CORES,
    }
    for n in sizes:
        tasks = races.tasks(n)
        for ending in GROUPS:
            some = [task for task in tasks if not ending or races.tuning_wins(task) == (ending == "_tuning")]
            figures |= _together([races.raced[task, n] for task in some], ending=f"{ending}_{size(n)}")
        for task in tasks:
            figures |= _of_task(task, races.raced[task, n], n)
    return figures | {f"tuning_wins_{task}": races.tuning_wins(task) for task in races.draws}


def size(n: int) -> str:
    return "all" if n == EVERYTHING else str(n)


def _together(tasks: Sequence[Sequence[Raced]], *, ending: str) -> dict[str, Figure]:
    """Means over tasks of means over orders; of the work, medians."""
    figures: dict[str, Figure] = {f"tasks_count{ending}": len(tasks)}
    if not tasks:
        return figures

    def mean(values: Sequence[Sequence[float]]) -> float:
        return float(np.mean([np.mean(some) for some in values]))

    shares = [[one.share for one in raced] for raced in tasks]
    named = [[(one.frugal.winner, one.exhaustive.winner) for one in raced] for raced in tasks]
    return figures | {
        f"agreement_share{ending}": mean([[one.agrees for one in raced] for raced in tasks]),
        f"agreement_least_task_share{ending}": min(float(np.mean([one.agrees for one in raced])) for raced in tasks),
        f"other_winner_share{ending}": mean([[bool(a and b and a != b) for a, b in pairs] for pairs in named]),
        f"winner_lost_share{ending}": mean([[bool(b and not a) for a, b in pairs] for pairs in named]),
        f"winner_gained_share{ending}": mean([[bool(a and not b) for a, b in pairs] for pairs in named]),
        f"work_share{ending}": float(np.median([np.median(some) for some in shares])),
        f"work_share_worst{ending}": max(max(some) for some in shares),
        f"trainings_avoided_share{ending}": mean(
            [[1 - one.done.trainings / one.whole.trainings for one in raced] for raced in tasks]
        ),
        f"part_trainings_count{ending}": mean([[one.done.parts for one in raced] for raced in tasks]),
        f"answers_avoided_share{ending}": mean(
            [[1 - one.done.answers / one.whole.answers for one in raced] for raced in tasks]
        ),
    }


def _of_task(task: str, raced: Sequence[Raced], n: int) -> dict[str, Figure]:
    shares = [one.share for one in raced]
    ending = f"{task}_{size(n)}"
    return {
        f"agreement_share_{ending}": float(np.mean([one.agrees for one in raced])),
        f"work_share_{ending}": float(np.median(shares)),
        f"work_share_least_{ending}": min(shares),
        f"work_share_worst_{ending}": max(shares),
        f"core_minutes_exhaustive_{ending}": CORES * raced[0].whole.seconds / 60,
        f"core_minutes_frugal_{ending}": CORES * float(np.median([one.done.seconds for one in raced])) / 60,
    }


def cost_goals(figures: Mapping[str, Figure]) -> list[Goal]:
    """On all items of every task."""
    agreement, work = f"agreement_share_{size(EVERYTHING)}", f"work_share_{size(EVERYTHING)}"
    return [
        goal("tasks_used_count", figures.get("tasks_used_count"), ">=", 12),
        goal(agreement, figures.get(agreement), ">=", AGREE),
        goal(work, figures.get(work), "<=", round(SHARE, 4)),
    ]
