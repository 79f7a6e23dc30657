"""Races whose truth is known, by the thousand: coverage of intervals, rates of false claims, power against its formula.

    python -m benchmarks.coverage --reduced      # 200 replicates of a small grid, minutes
    python -m benchmarks.coverage                # 2,000 replicates of the full grid, hours; goes on where it stopped
    python -m benchmarks.coverage --minutes 30   # as much of it as fits

Each finished cell is appended to results/NAME.cells.jsonl, the most telling first; results/NAME.json sums up what is there.
Intervals and tests of non-inferiority are the product's own; BCa takes 1,999 resamples instead of 9,999, which only adds noise.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binom

from benchmarks.harness import RESULTS, Figure, Goal, goal, save
from benchmarks.simulate import draw, group_sums, groups_of, holds_up, holm, p_best, p_values, pairs, superior
from groundtune.decision.verdict import decide_verdict
from groundtune.evaluation import statistics
from groundtune.evaluation.bounded import Array, BoundedValues, Codes, score_test
from groundtune.evaluation.crossed import sample_of
from groundtune.evaluation.statistics import mean_of, power, simultaneous_level
from groundtune.types import ALPHA_NOT_WORSE, ALPHA_SUPERIOR, Example, Interval, Score

MARGIN = 0.05
LEVELS = {"middle": 0.5, "floor": 0.05, "ceiling": 0.95}
"""Expected score of the best candidates."""
VERDICTS = 3
"""Replicates of each race cell that are also decided by `decide_verdict`."""
SEED_SPREAD = 0.05
"""Standard deviation of the mean between trainings, in the cells of claims about the method."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What is simulated, `replicates` times."""

    study: str
    kind: str
    """binary | continuous"""
    shape: str
    """single | even | uneven: how items come in groups."""
    items: int
    candidates: int
    level: str
    profile: str
    """equal | margin (the first, cheapest one is worse than all others by the margin) | drawn | points of the second | seeds"""

    @property
    def name(self) -> str:
        return "/".join(str(value) for value in asdict(self).values())


def grid(*, reduced: bool) -> Iterator[Cell]:
    """Cells by their value: the usual sizes and shapes first."""
    kinds = ("binary", "continuous")
    for items in (25, 100) if reduced else (100, 50, 25, 200, 400):
        for kind, shape in product(kinds, ("single", "uneven") if reduced else ("single", "even", "uneven")):
            for level, profile in product(("middle", "ceiling") if reduced else LEVELS, ("equal", "margin")):
                yield Cell("intervals", kind, shape, items, 2, level, profile)
        for kind, shape in product(kinds, ("single", "uneven")):
            for candidates, profile in product((5,) if reduced else (3, 4, 5), ("equal", "margin")):
                yield Cell("family", kind, shape, items, candidates, "middle", profile)
            for candidates in (3,) if reduced else (2, 3, 5):
                yield Cell("best", kind, shape, items, candidates, "middle", "drawn")
        for kind, shape in product(kinds, ("single", "even")):
            for points in (10,) if reduced else (5, 10, 20):
                yield Cell("power", kind, shape, items, 2, "middle", f"{points} points")
        for seeds in (3,) if reduced else (2, 3, 5):
            yield Cell("seeds", "binary", "single", items, 2, "middle", f"{seeds} seeds")


def run(cell: Cell, *, replicates: int) -> dict[str, Figure]:
    """Figures of one cell; the same cell gives the same figures."""
    rng = np.random.default_rng(zlib.crc32(cell.name.encode()))
    groups = groups_of(cell.shape, cell.items)
    return _STUDIES[cell.study](cell, rng, groups, replicates)


# --- studies ------------------------------------------------------------------------------------------------------------


def intervals(cell: Cell, rng: np.random.Generator, groups: Codes, replicates: int) -> dict[str, Figure]:
    """Coverage of the interval of a difference and of a mean; false claims of two candidates."""
    means = _means(cell)
    scores = draw(rng, means, kind=cell.kind, groups=groups, replicates=replicates)
    truth = means[0] - means[1]
    found = [_difference(row, groups, cell) for row in scores]
    alone = [_interval(row[0], groups, 0.0, prefer_score=cell.kind == "binary") for row in scores]
    figures: dict[str, Figure] = {
        **_coverage("difference", found, truth),
        **_coverage("mean", alone, means[0]),
        "groups": int(groups.max()) + 1,
        "discordant": float((scores[:, 0] != scores[:, 1]).sum(axis=1).mean()),
        "bca_share": float(np.mean(["BCa" in one.method for one in found])),
    }
    return {**figures, **_claims(cell, rng, scores, groups)}


def family(cell: Cell, rng: np.random.Generator, groups: Codes, replicates: int) -> dict[str, Figure]:
    """False claims among several candidates, and whether all simultaneous intervals hold together (three candidates)."""
    means = _means(cell)
    scores = draw(rng, means, kind=cell.kind, groups=groups, replicates=replicates)
    figures = _claims(cell, rng, scores, groups)
    if cell.candidates == 3:
        level = simultaneous_level(3)
        held = [
            all(
                one.low <= means[a] - means[b] <= one.high
                for a, b in pairs(3)
                for one in [_difference(row[[a, b]], groups, cell, level=level)]
            )
            for row in scores
        ]
        figures["simultaneous_coverage"] = float(np.mean(held))
    return figures


def best(cell: Cell, rng: np.random.Generator, groups: Codes, replicates: int) -> dict[str, Figure]:
    """Brier score of P(best), with true means drawn anew for every race, two points apart on average."""
    means = np.clip(0.5 + 0.03 * rng.standard_normal((replicates, cell.candidates)), 0.05, 0.95)
    scores = draw(rng, means, kind=cell.kind, groups=groups, replicates=replicates)
    chances = p_best(rng, scores, groups)
    truth = np.zeros_like(chances)
    truth[np.arange(replicates), means.argmax(axis=1)] = 1
    leader = chances.argmax(axis=1)
    certain = np.zeros_like(chances)
    certain[np.arange(replicates), leader] = 1
    return {
        "brier": _brier(chances, truth),
        "brier_equal_chances": _brier(np.full_like(chances, 1 / cell.candidates), truth),
        "brier_leader_for_certain": _brier(certain, truth),
        "leader_said": float(chances.max(axis=1).mean()),
        "leader_right": float(truth[np.arange(replicates), leader].mean()),
    }


def formula(cell: Cell, rng: np.random.Generator, groups: Codes, replicates: int) -> dict[str, Figure]:
    """Share of significant differences, against the formula with the true spread of a group's difference."""
    effect = float(cell.profile.split()[0]) / 100
    means = np.array([LEVELS[cell.level], LEVELS[cell.level] + effect])
    large = draw(rng, means, kind=cell.kind, groups=groups_of(cell.shape, 300), replicates=2_000)
    every = groups_of(cell.shape, 300)
    spread = float((group_sums(large[:, 1] - large[:, 0], every) / np.bincount(every)).std())
    scores = draw(rng, means, kind=cell.kind, groups=groups, replicates=replicates)
    p = p_values(rng, scores, groups, binary=cell.kind == "binary")[:, 0]
    gained = scores[:, 1].mean(axis=1) > scores[:, 0].mean(axis=1)
    return {
        "power": float(((p < 0.05) & gained).mean()),
        "power_formula": power(effect, groups=int(groups.max()) + 1, spread=spread),
        "wrong_side": float(((p < 0.05) & ~gained).mean()),
        "spread": spread,
    }


def seeds(cell: Cell, rng: np.random.Generator, groups: Codes, replicates: int) -> dict[str, Figure]:
    """Coverage of the mean difference of a method, by the two claims, when trainings scatter."""
    count = int(cell.profile.split()[0])
    found: dict[str, list[Interval]] = {"method": [], "weights": []}
    for _ in range(replicates):
        trained = np.clip(0.6 + SEED_SPREAD * rng.standard_normal(count), 0.01, 0.99)
        rows = draw(rng, np.append(trained, 0.6), kind=cell.kind, groups=groups, replicates=1)[0]
        difference = rows[:-1] - rows[-1]
        for claim, values in (("method", difference), ("weights", difference.mean(axis=0, keepdims=True))):
            sample = sample_of(values, groups, low=-1.0, high=1.0)
            found[claim].append(mean_of(sample, level=0.95, seed=0, prefer_score=False))
    return {**_coverage("method", found["method"], 0.0), **_coverage("weights", found["weights"], 0.0)}


_STUDIES: Mapping[str, Callable[[Cell, np.random.Generator, Codes, int], dict[str, Figure]]] = {
    "intervals": intervals,
    "family": family,
    "best": best,
    "power": formula,
    "seeds": seeds,
}


# --- parts --------------------------------------------------------------------------------------------------------------


def _means(cell: Cell) -> Array:
    """Expected scores; in the profile `margin` the first is worse by the margin than all others, away from the near bound."""
    means = np.full(cell.candidates, LEVELS[cell.level])
    if cell.profile == "margin":
        means[0 if cell.level != "floor" else slice(1, None)] += MARGIN if cell.level == "floor" else -MARGIN
    return means


def _claims(cell: Cell, rng: np.random.Generator, scores: Array, groups: Codes) -> dict[str, Figure]:
    """Rates of `superior` and of a false `cheapest non-inferior`, and how often the product's verdict is the same."""
    raw = p_values(rng, scores, groups, binary=cell.kind == "binary")
    winners = superior(scores, holm(raw), alpha=ALPHA_SUPERIOR)
    figures: dict[str, Figure] = {"superior": float((winners >= 0).mean())}
    held = None
    if cell.profile == "margin":
        ordered = list(permutations(range(cell.candidates), 2))
        tests = np.array([[_not_worse(row[a] - row[b], groups) for a, b in ordered] for row in scores])
        held = holds_up(tests, cell.candidates, alpha=ALPHA_NOT_WORSE)
        if cell.candidates == 2:  # equal scores are one entry, tested alone
            same = (scores[:, 0] == scores[:, 1]).all(axis=1)
            held[same] = tests[same] < ALPHA_NOT_WORSE
        figures["false_not_worse"] = float((held[:, 0] & (winners < 0)).mean())
        figures["false_superior"] = float((winners == 0).mean())
    else:
        figures["false_superior"] = figures["superior"]
    agreed = 0
    for number in range(min(VERDICTS, len(scores))):
        expected = ("superior", f"c{winners[number]}") if winners[number] >= 0 else ("", None)
        if held is not None and winners[number] < 0 and held[number].any():
            expected = "cheapest non-inferior", f"c{int(held[number].argmax())}"
        agreed += _decide(scores[number], groups, only_superior=held is None) == expected
    return {**figures, "verdicts_checked": min(VERDICTS, len(scores)), "verdicts_same": agreed}


def _decide(rows: Array, groups: Codes, *, only_superior: bool) -> tuple[str, str | None]:
    """Kind and winner by the public verdict; no kind where there is no winner, or one that was not asked for."""
    names = [f"c{number}" for number in range(len(rows))]
    found = decide_verdict(
        {
            name: [
                Score(name, f"q{n:04d}", str(group), "", 0, 0, name, {"f1": float(row[n])}) for n, group in enumerate(groups)
            ]
            for name, row in zip(names, rows, strict=True)
        },
        metric="f1",
        examples=[Example(f"q{n:04d}", "?", ("a",)) for n in range(len(groups))],
        costs={name: float(number) for number, name in enumerate(names)},
        margin=MARGIN,
        floor=0.0,
    )
    kind, winner = found.verdict.kind, found.verdict.winner
    return (kind, winner) if winner and (kind == "superior" or not only_superior) else ("", None)


def _difference(rows: Array, groups: Codes, cell: Cell, *, level: float = 0.95) -> Interval:
    """The product's interval of a paired difference; binary ungrouped rows are known by their two counts."""
    difference = rows[0] - rows[1]
    if cell.kind == "binary" and cell.shape == "single":
        return _by_counts(int((difference > 0).sum()), int((difference < 0).sum()), len(difference), level)
    return _interval(difference, groups, -1.0, prefer_score=False, level=level)


def _interval(values: Array, groups: Codes, low: float, *, prefer_score: bool, level: float = 0.95) -> Interval:
    sample = BoundedValues(values, groups, low, 1.0)
    return mean_of(sample, level=level, seed=0, prefer_score=prefer_score and not sample.clustered)


@cache
def _by_counts(first: int, second: int, items: int, level: float) -> Interval:
    values = np.repeat([1.0, -1.0, 0.0], [first, second, items - first - second])
    return _interval(values, np.arange(items), -1.0, prefer_score=True, level=level)


def _not_worse(difference: Array, groups: Codes) -> float:
    return score_test(BoundedValues(difference, groups, -1.0, 1.0), -MARGIN)


def _coverage(name: str, found: Sequence[Interval], truth: float) -> dict[str, Figure]:
    return {
        f"{name}_coverage": float(np.mean([one.low <= truth <= one.high for one in found])),
        f"{name}_width": float(np.mean([one.high - one.low for one in found])),
    }


def _brier(said: Array, truth: Array) -> float:
    return float(((said - truth) ** 2).sum(axis=1).mean())


# --- the whole ----------------------------------------------------------------------------------------------------------


def summary(cells: Sequence[Mapping[str, Any]], *, planned: int) -> tuple[dict[str, Figure], list[Goal]]:
    """Flat figures over finished cells, and the goals."""

    def of(key: str, *, where: Callable[[Mapping[str, Any]], bool] = lambda _: True) -> list[tuple[float, Mapping[str, Any]]]:
        return [(cell["figures"][key], cell) for cell in cells if key in cell["figures"] and where(cell)]

    def rare(key: str, limit: float) -> tuple[float | None, float | None, int]:
        """Largest rate, pooled rate, and cells above the limit beyond chance (binomial, Bonferroni over cells)."""
        found = of(key, where=lambda cell: key != "false_superior" or cell["profile"] == "equal")
        if not found:
            return None, None, 0
        tails = [binom.sf(round(rate * cell["replicates"]) - 1, cell["replicates"], limit) for rate, cell in found]
        rates = [rate for rate, _ in found]
        return max(rates), float(np.mean(rates)), sum(bool(tail < 0.01 / len(found)) for tail in tails)

    informed = lambda cell: cell["figures"]["groups"] >= 30 and cell["figures"]["discordant"] >= 10  # noqa: E731
    everywhere = of("difference_coverage") + of("mean_coverage")
    band = of("difference_coverage", where=informed)
    sizes = Counter(cell["items"] for cell in cells)
    figures: dict[str, Figure] = {
        "cells_finished": len(cells),
        "cells_planned": planned,
        "cells_finished_by_items": ", ".join(f"{count} of n = {items}" for items, count in sorted(sizes.items())),
        "replicates_per_cell": min((cell["replicates"] for cell in cells), default=None),
        "seconds_total": sum(cell["seconds"] for cell in cells),
    }

    def extreme(name: str, found: list[tuple[float, Mapping[str, Any]]], pick: Callable[..., Any]) -> None:
        value, cell = pick(found, key=lambda pair: pair[0]) if found else (None, {"cell": None})
        figures[name], figures[f"{name}_cell"] = value, cell["cell"]

    extreme("coverage_smallest", everywhere, min)
    extreme("coverage_smallest_30_groups_10_discordant", band, min)
    extreme("coverage_largest_30_groups_10_discordant", band, max)
    figures["coverage_share_in_band"] = float(np.mean([0.93 <= value <= 0.97 for value, _ in band])) if band else None
    extreme("coverage_simultaneous_smallest", of("simultaneous_coverage"), min)
    for key, limit in (("false_superior", ALPHA_SUPERIOR), ("false_not_worse", ALPHA_SUPERIOR)):
        figures[f"{key}_largest"], figures[f"{key}_mean"], figures[f"{key}_cells_beyond_chance"] = rare(key, limit)
    gaps = [(cell["figures"]["power"] - cell["figures"]["power_formula"], cell) for cell in cells if cell["study"] == "power"]
    extreme("power_shortfall_largest", [(-gap, cell) for gap, cell in gaps], max)
    figures["power_gap_mean"] = float(np.mean([gap for gap, _ in gaps])) if gaps else None
    for key in ("brier", "brier_equal_chances", "brier_leader_for_certain"):
        figures[f"{key}_mean"] = float(np.mean([value for value, _ in of(key)])) if of(key) else None
    ratios = [(value / cell["figures"]["brier_equal_chances"], cell) for value, cell in of("brier")]
    extreme("brier_ratio_to_equal_chances_largest", ratios, max)
    told = [cell["figures"]["leader_said"] - cell["figures"]["leader_right"] for _, cell in of("brier")]
    figures["p_best_overstated_mean"] = float(np.mean(told)) if told else None
    extreme("method_coverage_smallest", of("method_coverage"), min)
    extreme("weights_coverage_of_method_smallest", of("weights_coverage"), min)
    figures["verdicts_checked"] = sum(value for value, _ in of("verdicts_checked"))
    figures["verdicts_same"] = sum(value for value, _ in of("verdicts_same"))
    return figures, [
        goal("coverage_smallest", figures["coverage_smallest"], ">=", 0.93),
        goal("coverage_smallest_30_groups_10_discordant", figures["coverage_smallest_30_groups_10_discordant"], ">=", 0.93),
        goal("coverage_largest_30_groups_10_discordant", figures["coverage_largest_30_groups_10_discordant"], "<=", 0.97),
        goal("coverage_simultaneous_smallest", figures["coverage_simultaneous_smallest"], ">=", 0.93),
        goal("false_superior_largest", figures["false_superior_largest"], "<=", 0.05),
        goal("false_superior_cells_beyond_chance", figures["false_superior_cells_beyond_chance"], "==", 0),
        goal("false_not_worse_largest", figures["false_not_worse_largest"], "<=", 0.05),
        goal("power_shortfall_largest", figures["power_shortfall_largest"], "<=", 0.05),
        goal("brier_ratio_to_equal_chances_largest", figures["brier_ratio_to_equal_chances_largest"], "<=", 1.0),
        goal("method_coverage_smallest", figures["method_coverage_smallest"], ">=", 0.93),
        goal("verdicts_same", figures["verdicts_same"], "==", figures["verdicts_checked"]),
        goal("replicates_per_cell", figures["replicates_per_cell"], ">=", 2000),
        goal("cells_finished", figures["cells_finished"], "==", planned),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reduced", action="store_true", help="a small grid with 200 replicates a cell")
    parser.add_argument("--replicates", type=int, help="replicates a cell (2,000; reduced: 200)")
    parser.add_argument("--name", help="of the results (coverage; reduced: coverage_reduced)")
    parser.add_argument("--folder", type=Path, default=RESULTS)
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no cell after so many; 0 sums up what is there")
    chosen = parser.parse_args(arguments)
    replicates = chosen.replicates or (200 if chosen.reduced else 2000)
    name = chosen.name or ("coverage_reduced" if chosen.reduced else "coverage")
    chosen.folder.mkdir(parents=True, exist_ok=True)
    statistics.RESAMPLES = 1_999
    kept = chosen.folder / f"{name}.cells.jsonl"
    done = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()] if kept.exists() else []
    known = {row["cell"] for row in done if row["replicates"] == replicates}
    planned = list(grid(reduced=chosen.reduced))
    end = time.monotonic() + 60 * chosen.minutes
    for cell in planned:
        if cell.name in known or time.monotonic() >= end:
            continue
        started = time.process_time()
        figures = run(cell, replicates=replicates)
        row = {"cell": cell.name, **asdict(cell), "replicates": replicates, "seconds": time.process_time() - started}
        row["figures"] = {key: round(value, 6) if isinstance(value, float) else value for key, value in figures.items()}
        done.append(row)
        with kept.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{row['seconds']:7.1f} s  {cell.name}  {row['figures']}", flush=True)
    wanted = {cell.name for cell in planned}
    save(
        name,
        *summary([row for row in done if row["cell"] in wanted and row["replicates"] == replicates], planned=len(planned)),
        folder=chosen.folder,
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
