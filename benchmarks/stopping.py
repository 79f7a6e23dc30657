"""Frugal races whose truth is known: rates of false claims with looks, and what is saved where one candidate is better.

    python -m benchmarks.stopping                  # 400 replicates a scene
    python -m benchmarks.stopping --replicates 50  # in a minute

No model runs: scores are drawn, and the race is the product's own (`groundtune.decision.stopping`). Work is counted in answers;
a training on all pairs costs as much as `TRAINING` answers, one on a part that part. Each scene is also decided exhaustively.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.harness import Figure, Goal, goal, save
from benchmarks.simulate import draw, groups_of
from groundtune.decision.evidence import Entrant, Looks
from groundtune.decision.stopping import Course, race, rungs_of
from groundtune.decision.verdict import decide_verdict
from groundtune.evaluation.bounded import Array, Codes, score_test
from groundtune.evaluation.crossed import sample_of
from groundtune.evaluation.statistics import Contrast, exact_mcnemar, sign_flip
from groundtune.types import Example, Interval, Score, Verdict

MARGIN, FLOOR = 0.05, 0.15
TRAINING = 400
"""Answers that take as long as one training on all pairs."""
PAIRS = 1024
COSTS = {"prompt": 1.0, "few_shot": 3.0, "rag": 4.0, "tuned": 1.1, "rag_tuned": 4.1}
TUNED = "tuned", "rag_tuned"
RATES = {"false_superior": 0.05, "false_drop": 0.025, "false_not_worse": 0.025, "false_spared": 0.005}
"""What may be false at most; a goal allows two standard errors of the replicates more."""
ENDS = {100: (12, 25, 50, 100), 200: (25, 50, 100, 200)}


@dataclass(frozen=True, slots=True)
class Scene:
    """Expected scores with all data; a tuned candidate loses `slope` with each quartering of its pairs."""

    name: str
    means: Mapping[str, float]
    slope: float = 0.0
    false: str = ""
    """What would be a false claim: `superior` of anybody, or the name of a candidate that is worse by the margin."""

    def mean(self, name: str, share: float) -> float:
        steps = np.log(1 / share) / np.log(4)
        return max(0.02, self.means[name] - self.slope * steps) if name in TUNED else self.means[name]


def _all(mean: float) -> dict[str, float]:
    return dict.fromkeys(COSTS, mean)


SCENES = (
    Scene("equal", _all(0.5), false="superior"),
    Scene("equal_high", _all(0.9), false="superior"),
    Scene("margin", {**_all(0.55), "prompt": 0.5}, false="prompt"),
    Scene("margin_high", {**_all(0.95), "prompt": 0.9}, false="prompt"),
    Scene("ceiling", {**_all(0.95), "tuned": 0.9999, "rag_tuned": 0.9999}, false="spared"),
    Scene("tuning_wins", {"prompt": 0.2, "few_shot": 0.35, "rag": 0.3, "tuned": 0.8, "rag_tuned": 0.6}, slope=0.08),
    Scene("retrieval_wins", {"prompt": 0.1, "few_shot": 0.15, "rag": 0.7, "tuned": 0.2, "rag_tuned": 0.55}, slope=0.08),
    Scene("both_win", {"prompt": 0.1, "few_shot": 0.15, "rag": 0.4, "tuned": 0.3, "rag_tuned": 0.7}, slope=0.08),
    Scene("late_start", {"prompt": 0.2, "few_shot": 0.4, "rag": 0.3, "tuned": 0.7, "rag_tuned": 0.5}, slope=0.25),
    Scene("prompt_is_perfect", {**_all(0.6), "prompt": 0.999}),
)


def drawn(scene: Scene, shares: Sequence[float], *, groups: Codes, kind: str, seed: int) -> dict[tuple[str, float], Array]:
    """(candidate, share of its pairs) -> [item]; a tuned candidate has a row for each share."""
    keys = [(name, share) for name in COSTS for share in (dict.fromkeys(shares) if name in TUNED else (1.0,))]
    means = np.array([scene.mean(*key) for key in keys])
    rows = draw(np.random.default_rng(seed), means, kind=kind, groups=groups, replicates=1)[0]
    return dict(zip(keys, rows, strict=True))


def run(scene: Scene, *, items: int, shape: str, kind: str, seed: int) -> tuple[Course, Verdict, Verdict, float, float]:
    """One race both ways: its course, the two verdicts (frugal, exhaustive), and the work of each in answers."""
    groups = groups_of(shape, items)
    ends = tuple(int(np.flatnonzero(groups == groups[end - 1])[-1]) + 1 for end in ENDS[items])
    ids = tuple(f"q{number:04d}" for number in range(items))
    looks = Looks(ids, ends, groups)
    shares = rungs_of(PAIRS)
    rows = drawn(scene, shares, groups=groups, kind=kind, seed=seed)
    work: Counter[str] = Counter()
    answered: dict[tuple[str, float], int] = {}

    def measure(name: str, look: int, share: float) -> Array:
        if name in TUNED and (name, share) not in answered:
            work[name] += round(TRAINING * share)
        work[name] += max(0, ends[look] - answered.get((name, share), 0))
        answered[name, share] = ends[look]
        return rows[name, share][: ends[look]]

    field = [
        Entrant(name, cost, shares if name in TUNED else (), training=cost * TRAINING / items if name in TUNED else 0.0)
        for name, cost in COSTS.items()
    ]
    course = race(field, looks, measure=measure, margin=MARGIN, floor=FLOOR, seed=seed)
    kept = {name: rows[name, course.seen.learned[name]][: ends[course.look]] for name in course.left}
    whole = {name: rows[name, 1.0] for name in COSTS}
    frugal, exhaustive = decided(kept, looks, course), decided(whole, looks, None)
    return course, frugal, exhaustive, float(sum(work.values())), float(items * len(COSTS) + TRAINING * len(TUNED))


def decided(rows: Mapping[str, Array], looks: Looks, course: Course | None) -> Verdict:
    scores = {
        name: [
            Score(name, item, f"g{group:04d}", "", 0, 0, str(number), {"m": float(value)})
            for number, (item, group, value) in enumerate(zip(looks.items, looks.groups, row, strict=False))
        ]
        for name, row in rows.items()
    }
    examples = [Example(item, "?", ("a",)) for item in looks.items]
    seen = course.seen if course is not None else None
    return decide_verdict(
        scores, metric="m", examples=examples, costs=COSTS, margin=MARGIN, floor=FLOOR, compare=quick, seen=seen
    ).verdict


def quick(first: Array, second: Array, groups: Codes, *, margin: float, level: float = 0.95, seed: int = 0) -> Contrast:
    """`contrast` without its interval, which no verdict rests on."""
    difference = (first - second)[0]
    sample, other = (sample_of(sign * (first - second), groups, low=-1.0, high=1.0) for sign in (1, -1))
    binary = bool(np.isin(first, (0.0, 1.0)).all() and np.isin(second, (0.0, 1.0)).all()) and not sample.clustered
    p_value = exact_mcnemar(first[0], second[0]) if binary else sign_flip(sample, seed=seed)[0]
    not_worse = score_test(sample, -margin), score_test(other, -margin)
    return Contrast(float(difference.mean()), Interval(-1, 1, level, ""), p_value, *not_worse, test="")


def figures_of(scene: Scene, *, items: int, shape: str, kind: str, replicates: int) -> dict[str, float]:
    """Rates over replicates; a false claim is counted in a scene that names one."""
    count: Counter[str] = Counter()
    shares = []
    for seed in range(replicates):
        course, frugal, exhaustive, work, whole = run(scene, items=items, shape=shape, kind=kind, seed=seed)
        shares.append(work / whole)
        dropped = [name for name, stop in course.stops.items() if name not in course.left and stop.learned]
        count["false_superior"] += scene.false == "superior" and frugal.kind == "superior"
        count["false_drop"] += scene.false == "superior" and bool(dropped)
        count["false_not_worse"] += frugal.kind == "cheapest non-inferior" and frugal.winner == scene.false
        count["false_spared"] += scene.false == "spared" and bool(course.evidence.untried)
        chosen, reference = (one.winner or one.provisional for one in (frugal, exhaustive))
        count["same_winner"] += frugal.winner == exhaustive.winner
        count["same_choice"] += chosen == reference
        loss = scene.mean(reference, 1.0) - scene.mean(chosen, 1.0) if chosen and reference else 0.0
        count["within_2_points"] += loss <= 0.02
        count["other_winner"] += bool(frugal.winner and exhaustive.winner and frugal.winner != exhaustive.winner)
    rates = {name: number / replicates for name, number in count.items()}
    return {**rates, "work_median": float(np.median(shares)), "work_largest": float(np.max(shares))}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=400)
    replicates = parser.parse_args(arguments).replicates
    started = time.monotonic()
    gc.freeze()  # statsmodels collects garbage at every adjustment
    figures: dict[str, Figure] = {"replicates_per_scene": replicates}
    goals: list[Goal] = []
    for items, shape, kind in ((100, "single", "binary"), (200, "even", "continuous")):
        for scene in SCENES:
            if scene.false and shape == "even":
                continue
            name = f"{scene.name}_{items}_{shape}_{kind}"
            found = figures_of(scene, items=items, shape=shape, kind=kind, replicates=replicates)
            kept = {key: value for key, value in found.items() if not key.startswith("false") or scene.false}
            figures |= {f"{name}_{key}": round(value, 4) for key, value in kept.items()}
            goals += [
                goal(f"{name}_{key}", found[key], "<=", round(rate + 2 * (rate / replicates) ** 0.5, 4))
                for key, rate in RATES.items()
                if scene.false
            ]
            shown = {key: round(float(value), 3) for key, value in kept.items()}
            print(name, shown, f"{time.monotonic() - started:.0f} s", flush=True)
    figures["seconds_total"] = time.monotonic() - started
    save("stopping", figures, goals) if replicates > 99 else None
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
