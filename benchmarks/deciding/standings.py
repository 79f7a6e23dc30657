"""How every rule fared on every task at every number of items. Knows tables and rules; keeps no figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.deciding import rules
from benchmarks.deciding.replay import SIZES, Draws, decide, draws
from benchmarks.deciding.situations import SITUATIONS
from benchmarks.deciding.table import Array, Codes, TaskTable
from benchmarks.deciding.tasks import applicable
from benchmarks.deciding.verdicts import Verdicts

OURS = "groundtune"
NEAR = 0.02
"""A regret that counts as none."""
ENOUGH = 200
"""Items of a task on which goals are set."""


@dataclass(frozen=True)
class Standings:
    """Regrets of the tasks that the table holds."""

    draws: Mapping[str, Draws]
    """Task -> how its items were cut."""
    missing: Mapping[str, tuple[str, ...]]
    """Task -> the candidates that the table lacks."""
    chosen: dict[tuple[str, str, int], Codes] = field(default_factory=dict)
    """(rule, task, n) -> [draw] what was deployed."""
    verdicts: dict[tuple[str, int], Verdicts] = field(default_factory=dict)
    """(task, n) -> the product's."""

    def regrets(self, rule: str, task: str, n: int) -> Array:
        """[draw]"""
        rows = self.draws[task].regrets
        return np.asarray(rows[np.arange(len(rows)), self.chosen[rule, task, n]])

    def tasks(self, n: int) -> list[str]:
        """Tasks whose decision half holds n items."""
        return [name for name, one in self.draws.items() if one.largest >= n]

    def rules(self, n: int) -> list[str]:
        """Rules that chose on every such task."""
        found = dict.fromkeys(rule for rule, _, size in self.chosen if size == n)
        return [rule for rule in found if all((rule, task, n) in self.chosen for task in self.tasks(n))]


def usable(tables: Mapping[str, TaskTable], *, count: int, seed: int = 0) -> Standings:
    """The tasks with all of their candidates, cut `count` times; nothing is decided yet."""
    ready: dict[str, Draws] = {}
    missing: dict[str, tuple[str, ...]] = {}
    for name in SITUATIONS:
        table, wanted = tables.get(name), applicable(name)
        absent = tuple(one for one in wanted if table is None or table.of(one) is None)
        if table is None or absent:
            missing[name] = absent
        else:
            ready[name] = draws(table, wanted, count=count, seed=seed)
    return Standings(ready, missing)


def replay(tables: Mapping[str, TaskTable], *, count: int, sizes: Sequence[int] = SIZES, seed: int = 0) -> Standings:
    """Every rule's choices on every usable task, at each size that its decision half allows."""
    standings = usable(tables, count=count, seed=seed)
    tree, elsewhere = rules.grown(standings.draws), rules.best_fixed(standings.draws)
    for name, one in standings.draws.items():
        fixed = {rule: rules.constant(one, candidate) for rule, candidate in rules.FIXED.items()}
        fixed["documents -> both, else tune"] = rules.folk(one)
        fixed["questionnaire alone"] = rules.questionnaire(one, SITUATIONS[name])
        fixed["random"] = rules.at_random(one, seed=seed)
        if name in tree:
            fixed["depth-2 tree"], fixed["best fixed elsewhere"] = tree[name], elsewhere[name]
        for n in [size for size in sizes if size <= one.largest]:
            found = decide(one, n, seed=seed)
            standings.verdicts[name, n] = found
            standings.chosen[OURS, name, n] = found.choice
            standings.chosen["highest mean", name, n] = rules.best_seen(one, n)
            guessed = rules.probes(one, n)
            if guessed is not None:
                standings.chosen[rules.PROBES_ALONE, name, n] = guessed
            for rule, choices in fixed.items():
                standings.chosen[rule, name, n] = choices
    return standings


def probe_hits(standings: Standings) -> dict[str, tuple[str, str, bool]]:
    """Task -> (what the probes name on all items, the best on all items, whether it is that or less than NEAR behind)."""
    found = {}
    for name, one in standings.draws.items():
        means = one.scores.mean(axis=1)
        whole = replace(one, order=np.arange(len(one.items))[np.newaxis], half=np.array([len(one.items)]))
        guessed = rules.probes(whole, len(one.items))
        if guessed is not None:
            choice, best = int(guessed[0]), int(means.argmax())
            found[name] = (one.candidates[choice], one.candidates[best], bool(means[best] - means[choice] <= NEAR))
    return found
