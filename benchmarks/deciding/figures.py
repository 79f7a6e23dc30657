"""Standings as flat figures with their goals. Knows regrets; draws nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import binomtest

from benchmarks.deciding.replay import SIZES, Draws
from benchmarks.deciding.rules import FIXED
from benchmarks.deciding.standings import ENOUGH, NEAR, OURS, Standings, probe_hits
from benchmarks.deciding.table import TaskTable
from benchmarks.deciding.tasks import TUNED, UNTUNED
from benchmarks.deciding.verdicts import KINDS
from benchmarks.harness import Figure, Goal, goal

CANDIDATES = (*UNTUNED, *TUNED)
AT = 100
"""Items of the decision that goals are set for."""
RESAMPLES = 10_000


def figures_of(standings: Standings, *, sizes: Sequence[int] = SIZES) -> dict[str, Figure]:
    """Regrets in points of the metric, times 100; shares of 1."""
    count = next((len(one.order) for one in standings.draws.values()), 0)
    figures: dict[str, Figure] = {
        "tasks_used_count": len(standings.draws),
        "tasks_used": ", ".join(standings.draws),
        "tasks_missing": "; ".join(f"{name}: {', '.join(absent)}" for name, absent in standings.missing.items()),
        "draws_count": count,
        "decisions_count": len(standings.verdicts) * count,
    }
    for n in sizes:
        figures |= _of_size(standings, n)
    for name, one in standings.draws.items():
        means = one.scores.mean(axis=1)
        figures |= {f"items_{name}": len(one.items), f"largest_n_{name}": one.largest, f"metric_{name}": one.task.metric}
        figures |= {f"score_{name}_{candidate}": float(mean) for candidate, mean in zip(one.candidates, means, strict=True)}
        figures[f"best_{name}"] = one.candidates[int(means.argmax())]
        figures |= _rungs(one)
    return figures | _probes(standings)


def _of_size(standings: Standings, n: int) -> dict[str, Figure]:
    tasks = [name for name in standings.tasks(n) if len(standings.draws[name].items) >= min(ENOUGH, 2 * n)]
    figures: dict[str, Figure] = {f"tasks_count_{n}": len(tasks)}
    if not tasks:
        return figures
    means = {}
    for rule in standings.rules(n):
        regrets = {task: standings.regrets(rule, task, n) for task in tasks}
        together = np.concatenate(list(regrets.values()))
        means[rule] = np.array([found.mean() for found in regrets.values()])
        figures |= {
            f"regret_mean_points_{slug(rule)}_{n}": 100 * float(means[rule].mean()),
            f"regret_p95_points_{slug(rule)}_{n}": 100 * float(np.quantile(together, 0.95)),
            f"optimal_share_{slug(rule)}_{n}": float((together <= NEAR).mean()),
        }
    for place, kind in enumerate(KINDS):
        share = np.mean([(standings.verdicts[task, n].kind == place).mean() for task in tasks])
        figures[f"{slug(kind)}_share_{n}"] = float(share)
    for task in tasks:
        figures[f"regret_mean_points_{task}_{n}"] = 100 * float(standings.regrets(OURS, task, n).mean())
        figures[f"inconclusive_share_{task}_{n}"] = float((standings.verdicts[task, n].kind == 2).mean())
    figures |= _gap(means, n)
    as_good = [
        rule for rule, found in means.items() if rule not in (OURS, "highest mean") and found.mean() <= means[OURS].mean()
    ]
    figures[f"as_good_{n}"] = ", ".join(as_good) or "none"
    return figures


def _rungs(draws: Draws) -> dict[str, Figure]:
    """Scores of candidates that learned from a part of the pairs, on the same items."""
    found = {key: row[draws.items] for key, row in draws.task.values.items() if key[0] in TUNED and key[1] == 0 and key[2] < 1}
    return {
        f"score_{draws.task.task}_{candidate}_part{round(1 / rung)}": float(row.mean())
        for (candidate, _, rung), row in found.items()
        if np.isfinite(row).all()
    }


def _gap(means: Mapping[str, np.ndarray], n: int) -> dict[str, Figure]:
    """How much of what the best fixed candidate loses against hindsight is won, with an interval over tasks."""
    best = min(FIXED, key=lambda rule: float(means[rule].mean()))
    fixed, ours = means[best], means[OURS]
    figures: dict[str, Figure] = {f"best_fixed_{n}": best, f"gap_points_{n}": 100 * float(fixed.mean())}
    if fixed.mean() < NEAR:
        return figures | {
            f"gap_closed_share_{n}": None,
            f"gap_note_{n}": "no gap: the best fixed candidate loses under 2 points",
        }
    drawn = np.random.default_rng(0).integers(len(fixed), size=(RESAMPLES, len(fixed)))
    lost = fixed[drawn].sum(axis=1)
    shares = 1 - ours[drawn].sum(axis=1)[lost > 0] / lost[lost > 0]
    low, high = np.quantile(shares, [0.025, 0.975])
    return figures | {
        f"gap_closed_share_{n}": float(1 - ours.sum() / fixed.sum()),
        f"gap_closed_low_{n}": float(low),
        f"gap_closed_high_{n}": float(high),
    }


def _probes(standings: Standings) -> dict[str, Figure]:
    hits = probe_hits(standings)
    if not hits:
        return {"probes_tasks_count": 0, "probes_hit_share": None}
    won = sum(hit for _, _, hit in hits.values())
    found = binomtest(won, len(hits)).proportion_ci(method="exact")
    return {
        "probes_tasks_count": len(hits),
        "probes_hits_count": won,
        "probes_exact_hits_count": sum(named == best for named, best, _ in hits.values()),
        "probes_hit_share": won / len(hits),
        "probes_hit_low": float(found.low),
        "probes_hit_high": float(found.high),
        **{f"probes_name_{task}": named for task, (named, _, _) in hits.items()},
    }


def minutes_of(tables: Mapping[str, TaskTable]) -> dict[str, Figure]:
    """Cells of the table, and what they took: of a cell that went on after a break, the last call's answering."""
    training = sum(sum(table.training.values()) for table in tables.values())
    answering = sum(seconds for table in tables.values() for key, seconds in table.answering.items() if key[0] in CANDIDATES)
    cells = sum(key[0] in CANDIDATES for table in tables.values() for key in table.values)
    return {"cells_count": cells, "minutes_training": training / 60, "minutes_answering": answering / 60}


def goals_of(figures: Mapping[str, Figure]) -> list[Goal]:
    def at(key: str, relation: str, target: float) -> Goal:
        return goal(key, figures.get(key), "<=" if relation == "<=" else ">=", target)

    closed = f"gap_closed_share_{AT}"
    return [
        at("tasks_used_count", ">=", 12),
        at(f"regret_mean_points_{OURS}_{AT}", "<=", 2),
        at(f"regret_p95_points_{OURS}_{AT}", "<=", 5),
        at(f"optimal_share_{OURS}_{AT}", ">=", 0.85),
        *([] if f"gap_note_{AT}" in figures else [at(closed, ">=", 0.7)]),
        at("probes_hit_share", ">=", 0.75),
    ]


def slug(text: str) -> str:
    return "_".join("".join(c if c.isalnum() else " " for c in text).split())
