"""A report.json as flat figures. Knows the report's fields; computes nothing that the report does not say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.harness import Figure, Goal, goal
from groundtune.cli import output, results
from groundtune.decision.plan import Plan

STANDARD = ("prompt", "few_shot", "rag", "tuned", "rag_tuned")


def announce(plan: Plan) -> None:
    """Print the plan before anything is spent."""
    print(results.plan(output.plain(plan)), flush=True)


def figures_of(report: Mapping[str, Any]) -> dict[str, Figure]:
    """Task, verdict, candidates, comparisons and minutes of one race.

    Keys: `METRIC_CANDIDATE` (share of 1), `METRIC_low_CANDIDATE` and `_high_` (95 % interval), `latency_p95_s_CANDIDATE`,
    `cost_per_1000_usd_CANDIDATE`, `METRIC_difference_A_minus_B`, `p_adjusted_A_minus_B`, `minutes_STAGE_CANDIDATE`.
    A candidate that was not run has `not_run_CANDIDATE` with the reason instead.
    """
    task, decision = report["task"], report["decision"]
    metric = task["metric"]
    figures: dict[str, Figure] = {
        "metric": metric,
        "models": ", ".join(task["models"]),
        "questions_count": task["questions"],
        "scored_count": task["scored"],
        "unanswerable_count": task["unanswerable"],
        "groups_count": task["groups"],
        "documents_count": task["documents"],
        "chunks_count": task["chunks"],
        "scheme": report["splits"]["scheme"],
        "looks_count": report["splits"]["looks"],
        "mde": report["mde"],
        "verdict": decision["verdict"],
        "winner": decision["winner"],
        "provisional": decision["provisional"],
        "further_questions_count": decision["further_questions"],
    }
    for candidate in report["candidates"]:
        figures |= _candidate(candidate)
    order = [candidate["name"] for candidate in report["candidates"]]
    for one in report["comparisons"]:
        if one["metric"] != metric or order.index(one["a"]) < order.index(one["b"]):
            continue  # the report holds every pair in both directions; the later candidate minus the earlier is kept
        pair = f"{one['a']}_minus_{one['b']}"
        figures[f"{metric}_difference_{pair}"] = one["difference"]
        figures[f"{metric}_difference_low_{pair}"] = one["interval"]["low"]
        figures[f"{metric}_difference_high_{pair}"] = one["interval"]["high"]
        figures[f"p_adjusted_{pair}"] = one["p_adjusted"]
    decomposition = report["probes"]["decomposition"] or {}
    for key in ("gold_evidence", "gold_evidence_relaxed", "closed_book", "answer_in_context"):
        if measure := decomposition.get(key):
            figures[f"{metric}_{key}" if key != "answer_in_context" else key] = measure["value"]
    for candidate in report["candidates"]:
        for key in ("precision", "recall") if candidate["abstention"] else ():
            figures[f"abstention_{key}_{candidate['name']}"] = candidate["abstention"][key]
    return figures | minutes_of(report)


def ran(report: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the candidates that really answered."""
    return tuple(one["name"] for one in report["candidates"] if not one["not_applicable"] and one["items"])


def not_applicable(report: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the candidates that were reported as not applicable, each with its reason."""
    return tuple(one["name"] for one in report["candidates"] if one["not_applicable"])


def race_goals(report: Mapping[str, Any], *, expected: Sequence[str]) -> list[Goal]:
    """What every race has to show: the expected candidates ran, and each was timed often enough and answers fast enough."""
    done = ran(report)
    latency = [one["latency"] for one in report["candidates"] if one["name"] in done and one["latency"]]
    timed = len(latency) == len(done) > 0
    return [
        *(goal(f"ran_{name}", name in done, "==", True) for name in expected),
        goal("latency_requests_count_least", min(one["requests"] for one in latency) if timed else None, ">=", 50),
        goal("latency_p95_s_worst", max(one["p95"] for one in latency) if timed else None, "<=", 5),
    ]


def minutes_of(report: Mapping[str, Any]) -> dict[str, Figure]:
    """Measured minutes of each stage and candidate, and of all; a stage that came from the cache has no measurement."""
    minutes: defaultdict[str, float] = defaultdict(float)
    for stage in report["stages"]:
        if stage["measured_seconds"] is not None:
            key = "_".join(part for part in ("minutes", stage["stage"], stage["candidate"]) if part)
            minutes[key] += stage["measured_seconds"] / 60
    return {**minutes, "minutes_planned": report["plan"]["minutes"], "minutes_stages": sum(minutes.values())}


def _candidate(candidate: Mapping[str, Any]) -> dict[str, Figure]:
    name = candidate["name"]
    if candidate["not_applicable"]:
        return {f"not_run_{name}": candidate["not_applicable"]}
    figures: dict[str, Figure] = {}
    for metric, value in candidate["metrics"].items():
        figures[f"{metric}_{name}"] = value
        if metric in candidate["intervals"]:
            figures[f"{metric}_low_{name}"] = candidate["intervals"][metric]["low"]
            figures[f"{metric}_high_{name}"] = candidate["intervals"][metric]["high"]
    if candidate["latency"]:
        figures[f"latency_p50_s_{name}"] = candidate["latency"]["p50"]
        figures[f"latency_p95_s_{name}"] = candidate["latency"]["p95"]
        figures[f"latency_requests_count_{name}"] = candidate["latency"]["requests"]
    if candidate["cost"]:
        currency = candidate["cost"]["currency"].lower()
        figures[f"cost_per_1000_{currency}_{name}"] = candidate["cost"]["per_1000_answers"]
        figures[f"cost_setup_{currency}_{name}"] = candidate["cost"]["setup"]
    figures[f"input_tokens_{name}"] = candidate["tokens"]["input_tokens"]
    figures[f"output_tokens_{name}"] = candidate["tokens"]["output_tokens"]
    return figures
