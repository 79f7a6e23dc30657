"""Computes every statistic of a report again from the stored scores of its items, with other functions than the product's.

    python -m benchmarks.recompute DIR/report.json

Prints the largest deviation of each kind and exits with 1 when one is too large. What has one right value must agree to 1e-9;
sign-flips drawn at random and bootstraps within their Monte-Carlo error. Latency, cost and the plan are measurements: there is
nothing in the scores to compute them from.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations, product
from pathlib import Path
from typing import Any

import numpy as np
from scipy import integrate, optimize, stats

EXACT = 1e-9
SOLVED = 1e-6
"""The detectable effect: the product's solver stops there."""
PROBE = "gold evidence"
DIFFERENCES = ("retrieval_loss", "format_loss")

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Check:
    """One figure of the report beside the same figure computed again."""

    kind: str
    where: str
    said: float
    found: float
    tolerance: float

    @property
    def deviation(self) -> float:
        return abs(self.said - self.found)

    @property
    def agrees(self) -> bool:
        return self.deviation <= self.tolerance


def recompute(report: Mapping[str, Any], rows: Rows) -> list[Check]:
    """Every statistic of the report, checked against the rows of its scores file.

    Raises ValueError for a frugal race: its p-values rest on several looks, of which the file has the last.
    """
    if report.get("race", {}).get("kind") == "frugal":
        raise ValueError(f"{report['run']} was a frugal race, which cannot be computed again from its last scores.")
    by_candidate: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        by_candidate[row["candidate"]].append(row)
    checks: list[Check] = []
    ran = [candidate for candidate in report["candidates"] if not candidate["not_applicable"]]
    for candidate in ran:
        checks += _candidate(candidate, by_candidate[candidate["name"]])
    compared = [candidate["name"] for candidate in ran if not candidate["excluded"]]
    checks += _comparisons(report, {name: by_candidate[name] for name in compared})
    checks += _before(report, by_candidate[ran[0]["name"]])
    return checks + _probes(report, by_candidate)


# --- candidates ---------------------------------------------------------------------------------------------------------


def _candidate(candidate: Mapping[str, Any], rows: Rows) -> list[Check]:
    name = candidate["name"]
    checks = [Check("count", f"{name} items", candidate["items"], len(rows), 0)]
    for metric, mean in candidate["metrics"].items():
        scored = [row for row in rows if metric in row["metrics"]]
        values = [row["metrics"][metric] for row in scored]
        where = f"{name} {metric}"
        checks.append(Check("mean", where, mean, math.fsum(values) / len(values), EXACT))
        groups = [row["group"] for row in scored]
        checks += _interval(candidate["intervals"][metric], values, groups, low=0.0, where=where)
    for side in ("input_tokens", "output_tokens"):
        mean = statistics.fmean(row["usage"][side] for row in rows)
        checks.append(Check("tokens", f"{name} {side}", candidate["tokens"][side], mean, 0.5 + EXACT))
    return checks


# --- comparisons --------------------------------------------------------------------------------------------------------


def _comparisons(report: Mapping[str, Any], by_candidate: Mapping[str, Rows]) -> list[Check]:
    metric, margin = report["task"]["metric"], report["decision"]["margin"]
    table = {name: {row["item"]: row for row in rows} for name, rows in by_candidate.items()}
    items = sorted({item for rows in table.values() for item in rows})
    items = [item for item in items if all(metric in rows[item]["metrics"] for rows in table.values())]
    values = {name: tuple(rows[item]["metrics"][metric] for item in items) for name, rows in table.items()}
    groups = [next(iter(table.values()))[item]["group"] for item in items] if table else []
    entries: list[str] = []
    for name in values:
        if not any(values[name] == values[other] for other in entries):
            entries.append(name)
    stands_for = {name: next(other for other in entries if values[other] == own) for name, own in values.items()}
    pairs = list(combinations(entries, 2))
    raw = {pair: _p_value(values[pair[0]], values[pair[1]], groups) for pair in pairs}
    adjusted = dict(zip(raw, _holm([p for p, _ in raw.values()]), strict=True))
    ordered = list(permutations(entries, 2))
    one_sided = [_not_worse([x - y for x, y in zip(values[a], values[b], strict=True)], groups, margin) for a, b in ordered]
    not_worse = dict(zip(ordered, _holm(one_sided), strict=True))
    checks: list[Check] = []
    for row in report["comparisons"]:
        a, b = row["a"], row["b"]
        first, second = stands_for[a], stands_for[b]
        difference = [x - y for x, y in zip(values[a], values[b], strict=True)]
        where = f"{a} - {b}"
        level = 1 - 0.05 / max(1, len(pairs))
        checks += [
            Check("difference", where, row["difference"], math.fsum(difference) / len(difference), EXACT),
            Check("count", f"{where} items", row["items"], len(items), 0),
            Check("count", f"{where} groups", row["groups"], len(set(groups)), 0),
        ]
        checks += _interval(row["interval"], difference, groups, low=-1.0, level=level, where=where)
        if first == second:
            checks += [Check("p value", where, row[key], 1.0, EXACT) for key in ("p_value", "p_adjusted")]
            alone = _not_worse(difference, groups, margin)
            checks.append(Check("not worse", where, row["p_not_worse"], alone, EXACT))
            continue
        pair = (first, second) if (first, second) in raw else (second, first)
        p, error = raw[pair]
        checks += [
            Check("p value" if error == EXACT else "p value, drawn", where, row["p_value"], p, error),
            Check(
                "Holm" if error == EXACT else "Holm, drawn",
                where,
                row["p_adjusted"],
                adjusted[pair],
                EXACT + len(pairs) * max(one for _, one in raw.values()),
            ),
            Check("not worse", where, row["p_not_worse"], not_worse[first, second], EXACT),
        ]
    checks += _field(report, values, groups)
    return checks + _verdict(report, {name: statistics.fmean(row) for name, row in values.items()}, entries, not_worse)


def _field(report: Mapping[str, Any], values: Mapping[str, Sequence[float]], groups: Sequence[str]) -> list[Check]:
    """P(best) from own resamples; of the model confidence set, a bootstrap of its own, that the leader is in it."""
    said = report["field"]
    if said is None:
        return []
    sizes = np.array(_totals([1.0] * len(groups), groups))
    totals = np.array([_totals(row, groups) for row in values.values()])
    rng, draws = np.random.default_rng(999), 10_000
    leads = np.zeros(len(values))
    for _ in range(draws // 1_000):
        picked = rng.integers(0, len(sizes), (1_000, len(sizes)))
        means = totals[:, picked].sum(axis=2) / sizes[picked].sum(axis=1)
        first = means >= means.max(axis=0) - 1e-12
        leads += (first / first.sum(axis=0)).sum(axis=1)
    checks = []
    for name, found in zip(values, leads / draws, strict=True):
        error = 5 * math.sqrt(max(found * (1 - found), 1 / 4_999) * (1 / 4_999 + 1 / draws))
        checks.append(Check("P(best)", name, said["p_best"][name], float(found), error))
    leader = max(values, key=lambda name: statistics.fmean(values[name]))
    return [*checks, Check("confidence set", leader, 1.0, float(leader in said["confidence_set"]), 0)]


def _verdict(
    report: Mapping[str, Any], means: Mapping[str, float], entries: Sequence[str], not_worse: Mapping[tuple[str, str], float]
) -> list[Check]:
    """The kind from the definition, given the report's own adjusted p-values, which were checked before."""
    decision = report["decision"]
    said = {(row["a"], row["b"]): row["p_adjusted"] for row in report["comparisons"]}
    good = [name for name in means if means[name] >= decision["floor"] - EXACT]

    def beats_all(name: str) -> bool:
        others = [other for other in entries if other != name]
        return bool(others) and all(means[name] > means[other] and said.get((name, other), 1) < 0.05 for other in others)

    def holds_up(name: str) -> bool:
        return all(not_worse[name, other] < 0.025 for other in entries if other != name)

    kind, winner = decision["verdict"], decision["winner"]
    possible = {
        "none good enough": not good,
        "superior": bool(good) and winner in means and beats_all(winner),
        "cheapest non-inferior": winner in good and (winner not in entries or holds_up(winner)),
        "inconclusive": bool(good) and winner is None and decision["provisional"] in means,
    }[kind]
    return [Check("verdict", kind, 1.0, float(possible), 0)]


def _p_value(first: Sequence[float], second: Sequence[float], groups: Sequence[str]) -> tuple[float, float]:
    """Two-sided p-value of "no difference" and how far the product's may be from it."""
    difference = [x - y for x, y in zip(first, second, strict=True)]
    if len(set(groups)) == len(groups) and {*first, *second} <= {0.0, 1.0}:
        better, worse = sum(value > 0 for value in difference), sum(value < 0 for value in difference)
        return (stats.binomtest(better, better + worse).pvalue if better + worse else 1.0), EXACT
    totals = [total for total in _totals(difference, groups) if abs(total) > 1e-12]
    if len(totals) < 2:
        return 1.0, EXACT
    seen = abs(math.fsum(totals)) - 1e-12
    if len(totals) <= 14:
        flips = np.abs(np.array(list(product((-1, 1), repeat=len(totals)))) @ np.array(totals))
        return float((flips >= seen).mean()), EXACT
    draws = 200_000
    rng = np.random.default_rng(12345)
    hits = sum(
        int((np.abs((2 * rng.integers(0, 2, (10_000, len(totals))) - 1) @ np.array(totals)) >= seen).sum())
        for _ in range(draws // 10_000)
    )
    p = hits / draws
    doubled = 4 * (p / 2) * (1 - p / 2) / 20_000  # scipy doubles the smaller tail, and its error with it
    return p, 5 * math.sqrt(max(doubled, 1 / 20_000**2) + p * (1 - p) / draws) + 1e-4


def _holm(raw: Sequence[float]) -> list[float]:
    """Holm's adjustment by its definition."""
    order = sorted(range(len(raw)), key=lambda number: raw[number])
    adjusted, running = [0.0] * len(raw), 0.0
    for rank, number in enumerate(order):
        running = max(running, (len(raw) - rank) * raw[number])
        adjusted[number] = min(1.0, running)
    return adjusted


# --- score test and intervals -------------------------------------------------------------------------------------------


def _not_worse(difference: Sequence[float], groups: Sequence[str], margin: float) -> float:
    if len(set(groups)) < 2:
        return 1.0
    z = _z(difference, _design_effect(difference, groups), -margin, -1.0, 1.0)
    return float(_reference(groups).sf(z))


def _interval(
    said: Mapping[str, Any], values: Sequence[float], groups: Sequence[str], *, low: float, where: str, level: float = 0.95
) -> list[Check]:
    """An end of a score interval inside the bounds is where the score test has the p-value of its tail."""
    if "BCa" in said["method"]:
        return _bootstrap(said, values, groups, where=where, level=level)
    ends = (said["low"], said["high"])
    if len(set(groups)) < 2:
        return [Check("interval", where, end, bound, EXACT) for end, bound in zip(ends, (low, 1.0), strict=True)]
    common = statistics.mode(sorted(values))
    differing = len({group for value, group in zip(values, groups, strict=True) if value != common})
    reach = max(abs(value) for value in values) if differing >= 10 and low < 0 else 1.0
    bounds = (max(low, -reach), reach)
    wanted = _reference(groups).isf((1 - level) / 2)
    mean, effect = statistics.fmean(values), _design_effect(values, groups)
    checks = []
    for end, bound, sign in zip(ends, bounds, (1, -1), strict=True):
        edge = bound + sign * 1e-12 * (bounds[1] - bounds[0])

        def beyond(null: float, sign: int = sign) -> float:
            return float(sign * _z(values, effect, null, *bounds) - wanted)

        at_bound = abs(mean - bound) <= 1e-9 or beyond(edge) <= 0
        expected = bound if at_bound else optimize.bisect(beyond, edge, mean, xtol=1e-12)
        checks.append(Check("interval", f"{where} {'low' if sign > 0 else 'high'}", end, expected, EXACT))
    return checks


def _z(values: Sequence[float], effect: float, null: float, low: float, high: float) -> float:
    """Score statistic: the variance is that of the likeliest distribution on the values and the far bound with mean `null`."""
    gain = statistics.fmean(values) - null
    sign = 1.0 if gain >= 0 else -1.0
    excess = sign * (np.array(values) - null)
    bound = (low - null) if sign > 0 else (null - high)
    variance = _restricted(excess, bound) * effect
    return gain * math.sqrt(len(values) / variance) if variance > 0 else 0.0


def _restricted(excess: np.ndarray, bound: float) -> float:
    """Second moment under the mean 0, by minimising the dual of the empirical likelihood (convex in one number)."""
    if excess.sum() <= 0:
        return float((excess**2).mean())
    items = len(excess)
    limit = -1 / min(float(excess.min()), bound)

    def dual(tilt: float) -> float:
        return -float(np.log1p(tilt * excess).sum())

    reached = float(excess.min()) <= bound * (1 - 1e-9)
    top = limit * (1 - 1e-12) if reached else limit
    slope = lambda tilt: float((excess / (1 + tilt * excess)).sum())  # noqa: E731
    if not reached and slope(top) >= 0:
        tilt = top
    else:
        tilt = optimize.bisect(slope, 0.0, top, xtol=1e-15, maxiter=500)
        assert dual(tilt) <= dual(tilt / 2) + 1e-9
    weights = 1 / (items * (1 + tilt * excess))
    return float(weights @ excess**2 + max(0.0, 1 - weights.sum()) * bound**2)


def _design_effect(values: Sequence[float], groups: Sequence[str]) -> float:
    """Ratio of the cluster-robust to the plain variance of a mean, by definition; a line of assumption under six groups."""
    members: defaultdict[str, list[float]] = defaultdict(list)
    for value, group in zip(values, groups, strict=True):
        members[group].append(value)
    items, count = len(values), len(members)
    if count == items:
        return 1.0
    mean = statistics.fmean(values)
    plain = math.fsum((value - mean) ** 2 for value in values) * items / (items - 1)
    robust = math.fsum(math.fsum(value - mean for value in own) ** 2 for own in members.values()) * count / (count - 1)
    counts = {value: list(values).count(value) for value in sorted(set(values))}
    common = max(counts, key=lambda value: (counts[value], -value))
    differing = sum(any(value != common for value in own) for own in members.values())
    alike = math.fsum(len(own) ** 2 for own in members.values()) / items
    return max(1.0, 1 + (alike - 1) * max(0.0, 1 - differing / 6), robust / plain if plain > 1e-12 else 1.0)


def _reference(groups: Sequence[str]) -> Any:
    count = len(set(groups))
    return stats.t(count - 1) if count < len(groups) else stats.norm()


def _bootstrap(
    said: Mapping[str, Any], values: Sequence[float], groups: Sequence[str], *, where: str, level: float
) -> list[Check]:
    """BCa by its definition from own draws; the ends may differ by the Monte-Carlo error of two such bootstraps."""
    totals, sizes = np.array(_totals(values, groups)), np.array(_totals([1.0] * len(values), groups))
    count = len(totals)
    rng = np.random.default_rng(54321)
    drawn = np.concatenate([rng.multinomial(count, [1 / count] * count, 1_000) for _ in range(10)])
    means = np.sort(drawn @ totals / (drawn @ sizes))
    seen = totals.sum() / sizes.sum()
    bias = stats.norm.ppf(((means < seen).mean() + (means <= seen).mean()) / 2)
    left_out = (totals.sum() - totals) / (sizes.sum() - sizes)
    pull = left_out.mean() - left_out
    acceleration = float((pull**3).sum() / (6 * (pull**2).sum() ** 1.5))
    checks = []
    for end, tail in ((said["low"], (1 - level) / 2), (said["high"], (1 + level) / 2)):
        z = bias + stats.norm.ppf(tail)
        share = stats.norm.cdf(bias + z / (1 - acceleration * z))
        error = 5 * math.sqrt(2 * share * (1 - share) / len(means))
        near = np.quantile(means, [max(0.0, share - error), share, min(1.0, share + error)])
        checks.append(Check("bootstrap", where, end, float(near[1]), float(max(near[2] - near[1], near[1] - near[0]))))
    return checks


def _totals(values: Sequence[float], groups: Sequence[str]) -> list[float]:
    found: defaultdict[str, list[float]] = defaultdict(list)
    for value, group in zip(values, groups, strict=True):
        found[group].append(value)
    return [math.fsum(own) for own in found.values()]


# --- plan and probes ----------------------------------------------------------------------------------------------------


def _before(report: Mapping[str, Any], rows: Rows) -> list[Check]:
    """Smallest p-value and detectable effect of the number of groups, by integrating over the estimated deviation."""
    sizes = defaultdict(int)
    for row in rows:
        sizes[row["group"]] += 1
    groups, items = len(sizes), sum(sizes.values())
    planned = sum(not one["not_applicable"] or one["not_applicable"].startswith("left out") for one in report["candidates"])
    comparisons = max(1, planned * (planned - 1) // 2)
    alpha = 0.05 / comparisons
    smallest = min(1.0, 0.5 ** (groups - 1))
    density = stats.chi(groups - 1, scale=1 / math.sqrt(max(1, groups - 1)))

    def missing(effect: float) -> float:
        critical, shift = stats.t.isf(alpha / 2, groups - 1), effect / 0.45 * math.sqrt(groups)

        def rejected(deviation: float) -> float:
            tails = stats.norm.cdf(shift - critical * deviation) + stats.norm.cdf(-shift - critical * deviation)
            return float(tails * density.pdf(deviation))

        return float(integrate.quad(rejected, 0, np.inf, epsabs=1e-12, epsrel=1e-12, limit=200)[0]) - 0.8

    effect = 1.0 if smallest * comparisons >= 0.05 else min(1.0, optimize.bisect(missing, 1e-6, 4.0, xtol=1e-10))
    return [
        Check("count", "groups", report["task"]["groups"], groups, 0),
        Check("largest group", "share", report["task"]["largest_group_share"], max(sizes.values()) / items, EXACT),
        Check("smallest p", "", report["smallest_p"], smallest, EXACT),
        Check("detectable effect", "", report["mde"], effect, SOLVED),
    ]


def _probes(report: Mapping[str, Any], by_candidate: Mapping[str, Rows]) -> list[Check]:
    """Decomposition and relaxed scores; what needs texts of documents is not in the scores."""
    metric, said = report["task"]["metric"], report["probes"]
    checks: list[Check] = []
    for name, measure in said["relaxed"].items():
        rows = [row for row in by_candidate[name] if metric in row["metrics"]]
        groups = [row["group"] for row in rows]
        checks += _measure("relaxed", measure, [_relaxed(row, metric) for row in rows], groups, where=name)
    found = said["decomposition"]
    if found is None:
        return checks
    shown = {row["item"]: row for row in by_candidate[PROBE] if row["context"]}
    scored = {
        name: [row["metrics"][metric] for item in shown for row in by_candidate[name] if row["item"] == item]
        for name in ("rag", "prompt", PROBE)
    }
    forgiven, groups = [_relaxed(row, metric) for row in shown.values()], [row["group"] for row in shown.values()]
    values = {
        "retrieved": scored["rag"],
        "gold_evidence": scored[PROBE],
        "gold_evidence_relaxed": forgiven,
        "reading_loss": [1 - value for value in forgiven],
        "retrieval_loss": [gold - value for gold, value in zip(scored[PROBE], scored["rag"], strict=True)],
        "format_loss": [value - gold for value, gold in zip(forgiven, scored[PROBE], strict=True)],
    }
    if found["closed_book"] is not None:
        values["closed_book"] = scored["prompt"]
    checks.append(Check("count", "decomposition items", found["items"], len(shown), 0))
    for name, own in values.items():
        checks += _measure("decomposition", found[name], own, groups, where=name, low=-1.0 if name in DIFFERENCES else 0.0)
    lost = sum(found[name]["value"] for name in ("retrieval_loss", "format_loss", "reading_loss"))
    return [*checks, Check("decomposition", "sum", lost, 1 - statistics.fmean(scored["rag"]), EXACT)]


def _relaxed(row: Mapping[str, Any], metric: str) -> float:
    return max(row["metrics"].get(metric, 0.0), row["metrics"].get("contains", 0.0))


def _measure(
    kind: str, said: Mapping[str, Any], values: Sequence[float], groups: Sequence[str], *, where: str, low: float = 0.0
) -> list[Check]:
    mean = Check(kind, where, said["value"], math.fsum(values) / len(values), EXACT)
    return [mean, *_interval(said["interval"], values, groups, low=low, where=f"{kind} {where}")]


def scores_of(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A report and the rows of the scores file that it names."""
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    lines = (path.parent / report["scores"]).read_text(encoding="utf-8").splitlines()
    return report, [json.loads(line) for line in lines]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path)
    checks = recompute(*scores_of(parser.parse_args(arguments).report))
    kinds: defaultdict[str, list[Check]] = defaultdict(list)
    for check in checks:
        kinds[check.kind].append(check)
    for kind, own in kinds.items():
        worst = max(own, key=lambda check: check.deviation)
        print(f"{kind:18} {len(own):4} figures, largest deviation {worst.deviation:.2g}")
    wrong = [check for check in checks if not check.agrees]
    for check in wrong:
        print(f"NOT EQUAL: {check.kind} of {check.where}: the report says {check.said!r}, computed again {check.found!r}")
    print("Latency, cost and the plan are measurements and cannot be computed from scores.")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
