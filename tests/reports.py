"""Reports of races that were never run, of any size and shape, for tests of the pages; each keeps the report's schema."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import jsonschema

from groundtune.decision.report import SCHEMA
from groundtune.types import Evidence, Example

STANDARD = ("prompt", "few_shot", "rag", "tuned", "rag_tuned")
KINDS = ("fact", "table", "negation")
VALIDATOR = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


def interval(low: float, high: float, method: str = "cluster-adjusted score interval") -> dict[str, Any]:
    return {"low": low, "high": high, "level": 0.95, "method": method}


def measure(value: float) -> dict[str, Any]:
    return {"value": value, "interval": interval(value - 0.05, value + 0.05)}


def scores(names: Sequence[str] = STANDARD, *, items: int = 24, kinds: Sequence[str] = KINDS) -> list[dict[str, Any]]:
    """A later candidate is right more often; item n is of kind n modulo the number of kinds."""
    draw = random.Random(5)
    return [
        {
            "candidate": name,
            "item": f"item-{item:03}",
            "group": f"group-{item // 2}",
            "kind": kinds[item % len(kinds)] if kinds else "",
            "fold": item % 2,
            "seed": 0,
            "answer": f"{name} says {item}",
            "metrics": {"f1": float(draw.random() < (number + 1) / (len(names) + 1))},
            "abstained": False,
            "usage": {"input_tokens": 1, "output_tokens": 1},
            "context": [f"guide.md#{100 * (item % 3)}-{100 * (item % 3) + 100}"] if "rag" in name else [],
            "citations": [],
        }
        for number, name in enumerate(names)
        for item in range(items)
    ]


def examples(items: int = 24) -> list[Example]:
    return [
        Example(
            f"item-{item:03}",
            f"What of {item}?",
            (f"it is {item}",),
            evidence=(Evidence("guide.md", "the guide", ((10, 19),)),),
            kind=KINDS[item % len(KINDS)],
            principals=("staff",),
        )
        for item in range(items)
    ]


def candidate(name: str, number: int, rows: Sequence[dict[str, Any]], *, models: Sequence[str]) -> dict[str, Any]:
    mine = [row["metrics"]["f1"] for row in rows if row["candidate"] == name]
    mean = sum(mine) / len(mine)
    return {
        "name": name,
        "model": models[number % len(models)],
        "recipe": {"context": {"k": 3}} if "rag" in name else {"context": None},
        "metrics": {"f1": mean, "exact_match": mean / 2},
        "intervals": {"f1": interval(max(0.0, mean - 0.1), min(1.0, mean + 0.1))},
        "items": len(mine),
        "latency": {"p50": 0.3 + 0.1 * number, "p95": 0.6 + 0.2 * number, "mean": 0.4, "requests": 50},
        "cost": {
            "per_1000_answers": 0.01 * (number + 1),
            "setup": 0.0,
            "currency": "USD",
            "basis": "core-hours",
            "known": True,
        },
        "tokens": {"input_tokens": 300, "output_tokens": 8},
        "abstention": {"precision": None, "recall": 1.0, "abstained": 2, "unanswerable": 1, "items": len(mine)},
        "memory_gb": 1.5,
        "staleness": {"hours": None, "why": "nothing says how often it is renewed", "facts": None},
        "weights": [],
        "not_applicable": "",
        "excluded": "",
    }


def absent(name: str, reason: str) -> dict[str, Any]:
    empty = {"metrics": {}, "intervals": {}, "items": 0, "latency": None, "cost": None, "recipe": {}, "abstention": None}
    base = candidate(name, 0, [{"candidate": name, "metrics": {"f1": 0.0}}], models=["fake:echo"])
    return base | empty | {"memory_gb": None, "staleness": None, "not_applicable": reason}


def comparisons(candidates: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    mean = {one["name"]: one["metrics"]["f1"] for one in candidates}
    return [
        {
            "a": a,
            "b": b,
            "metric": "f1",
            "difference": mean[a] - mean[b],
            "interval": interval(mean[a] - mean[b] - 0.2, mean[a] - mean[b] + 0.2, "score interval, simultaneous (Bonferroni)"),
            "p_value": 0.01,
            "p_adjusted": 0.01 if abs(mean[a] - mean[b]) > 0.2 else 0.6,
            "p_not_worse": 0.01 if mean[a] - mean[b] > 0.1 else 0.9,
            "test": "sign-flip over groups (20,000 draws); not worse: cluster-adjusted score test",
            "items": 24,
            "groups": 12,
        }
        for a, b in permutations(mean, 2)
    ]


def decomposition() -> dict[str, Any]:
    values = {"retrieved": 0.2, "gold_evidence": 0.4, "gold_evidence_relaxed": 0.5, "closed_book": 0.05}
    values |= {"answer_in_context": 0.7, "retrieval_loss": 0.2, "format_loss": 0.1, "reading_loss": 0.5}
    return {"items": 22} | {name: measure(value) for name, value in values.items()}


def predicted(candidates: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "prediction": {
                "candidate": one["name"], "expected": 0.3, "low": 0.1, "high": 0.6, "basis": "gold evidence", "created": 1.0
            },
            "measured": one["metrics"]["f1"],
            "error": one["metrics"]["f1"] - 0.3,
            "inside": 0.1 <= one["metrics"]["f1"] <= 0.6,
        }
        for one in candidates
    ]  # fmt: skip


def report(
    names: Sequence[str] = STANDARD,
    *,
    rows: Sequence[dict[str, Any]] | None = None,
    models: Sequence[str] = ("fake:echo",),
    winner: str | None = None,
    verdict: str = "superior",
) -> dict[str, Any]:
    """A full documents task: `names` raced, the last of them won unless another or a verdict without a winner is named."""
    rows = rows if rows is not None else scores(names)
    found = [candidate(name, number, rows, models=models) for number, name in enumerate(names)]
    named = winner or names[-1]
    has_winner = verdict in ("superior", "cheapest non-inferior")
    stages = [
        {"stage": stage, "candidate": name, "planned_seconds": 60.0, "measured_seconds": None if stage == "probe" else 45.0}
        for name in names
        for stage in ("answer", "latency", "probe")
    ]
    made = {
        "schema": 1,
        "run": "decide-0001",
        "created": "2026-05-04T10:00:00+00:00",
        "task": {
            "questions": 24, "scored": 24, "unanswerable": 2, "groups": 12, "largest_group_share": 0.1, "metric": "f1",
            "metrics": ["f1", "exact_match"], "models": sorted(set(models)), "labels": 0, "documents": 17, "chunks": 90,
            "problems": ["questions.jsonl:3: not JSON"],
        },
        "splits": {
            "scheme": "cross-fitted", "folds": [{"train": 12, "test": 12}] * 2, "seed": 0, "fingerprint": "ab" * 32, "looks": 2,
            "ledger": [{"run": f"decide-000{n}", "created": "2026-05-04T10:00:00+00:00"} for n in (1, 2)],
        },
        "seeds": [0],
        "mde": 0.2,
        "smallest_p": 0.0005,
        "plan": {
            "stages": [], "left_out": [{"candidate": "reader", "reason": "off"}], "minutes": 3.0, "money": 0.0, "budget": None,
            "currency": "USD", "items": 24, "groups": 12, "smallest_p": 0.0005, "mde": 0.2, "scheme": "cross-fitted",
            "notes": [],
        },
        "stages": stages,
        "candidates": found,
        "race": {"kind": "exhaustive", "why": "", "looks": [], "ended": "", "work": None, "candidates": []},
        "comparisons": comparisons(found) if len(found) > 1 else [],
        "decision": {
            "winner": named if has_winner else None, "verdict": verdict, "reason": f"{named} is ahead.",
            "provisional": named if verdict == "inconclusive" else None, "headline": f"About {named}", "margin": 0.05,
            "floor": 0.1, "further_questions": 900 if verdict == "inconclusive" else None, "claim": "these weights",
        },
        "field": {"p_best": dict.fromkeys(names, 1 / len(names)), "confidence_set": list(names)} if len(names) > 1 else None,
        "sensitivity": {
            "changes": [
                {
                    "lever": "margin", "now": 0.05, "direction": "below", "at": 0.03,
                    "words": "With a margin below 3 points, none.",
                    "outcome": {"kind": "inconclusive", "winner": None, "provisional": named},
                }
            ],
            "tried": ["margin from 0.5 to 25 points"],
        },
        "break_even": [],
        "probes": {
            "decomposition": decomposition(), "not_applicable": "", "relaxed": {name: measure(0.4) for name in names},
            "answer_in_context": measure(0.7), "nearest_answer": measure(0.1), "reader": None,
            "matrix": {"external_data": measure(0.9), "behaviour": measure(0.8), "words": "both high"},
        },
        "predictions": predicted(found),
        "scores": ".groundtune/runs/decide-0001/scores.jsonl",
        "versions": {"groundtune": "0.1.0"},
        "notes": ["Warning: this is look number 2 at the same questions.", "One training seed."],
    }  # fmt: skip
    VALIDATOR.validate(made)
    return made
