"""How far judges agree with people on 477 rated answers (qa_mtrag). Knows that data set's form; the product does the rest.

With OPENAI_BASE_URL set and `--model openai:NAME` that model is calibrated; without a model the same code runs on the shipped
judges with planted biases, which checks that each bias is found, and is no measurement of a judge. The language model's ratings
that the data set's authors stored (RB-LLM) are calibrated in either case, and our ROUGE-L is compared with theirs.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from pathlib import Path
from typing import Any

from benchmarks.harness import Figure, Goal, data_folder, goal, save
from groundtune.errors import UsageError
from groundtune.evaluation.calibration import Calibration, RatedAnswer, RatedPair, calibrate
from groundtune.evaluation.calibration import Figure as Measured
from groundtune.evaluation.judge import ModelJudge, compare, load_judge, why_no_gate
from groundtune.scoring.overlap import rouge_l
from groundtune.types import Answer, Example, Judged, Preference

FILE = "mtrag-human/evaluations/reference_subset_with_human_evaluations.json"
SCALE = 4
"""People rated from 1 (no) to 4 (yes)."""
ASPECTS = ("faithfulness", "completeness", "appropriateness")
PLANTED = {"position": "position", "length": "length", "yes": "always-yes"}


def read(folder: Path, *, limit: int | None) -> list[dict[str, Any]]:
    """The questions with their rated answers, in the file's order: {id, question, reference, sources, answers}."""
    data = json.loads((folder / FILE).read_text(encoding="utf-8"))
    texts = {document["document_id"]: document["text"] for document in data["documents"]}
    found: dict[str, dict[str, Any]] = {}
    for task in data["tasks"]:
        turns = [f"{turn['speaker']}: {turn['text']}" for turn in task["input"]]
        found[task["task_id"]] = {
            "id": task["task_id"],
            "question": "\n".join(turns) if len(turns) > 1 else task["input"][0]["text"],
            "reference": task["targets"][0]["text"],
            "sources": tuple(texts[one["document_id"]] for one in task["contexts"]),
            "answers": [],
        }
    for row in data["evaluations"]:
        found[row["task_id"]]["answers"].append(row)
    return list(found.values())[:limit]


def people(row: dict[str, Any]) -> tuple[float, ...]:
    """One rating a person: the mean of the three aspects that judge content."""
    given = [row["annotations"][aspect] for aspect in ASPECTS]
    raters = sorted(set(given[0]).intersection(*given[1:]))
    return tuple(sum(float(one[rater]["value"]) for one in given) / len(ASPECTS) for rater in raters)


def wins(row: dict[str, Any]) -> float:
    """Mean over people of the share of head-to-head comparisons that they gave this answer."""
    values = [float(one["value"]) for one in row["annotations"]["win-rate"].values()]
    return sum(values) / len(values)


def judged(task: dict[str, Any], row: dict[str, Any], *, reference: bool) -> Judged:
    return Judged(
        task["id"],
        task["question"],
        row["model_response"],
        reference=task["reference"] if reference else "",
        sources=task["sources"],
    )


def calibrate_judge(judge: ModelJudge, tasks: list[dict[str, Any]], *, reference: bool) -> Calibration:
    """Ratings of every answer, and every pair of answers to a question in both orders."""
    rows = [(task, row) for task in tasks for row in task["answers"]]
    ratings = judge.rate([judged(task, row, reference=reference) for task, row in rows])
    answers = [
        RatedAnswer(task["id"], people(row), rating, len(row["model_response"].split()))
        for (task, row), rating in zip(rows, ratings, strict=True)
    ]
    sides = [
        (task, one, other)
        for task in tasks
        for place, one in enumerate(task["answers"])
        for other in task["answers"][place + 1 :]
    ]
    both = compare(
        judge,
        [judged(task, one, reference=reference) for task, one, _ in sides],
        [judged(task, other, reference=reference) for task, _, other in sides],
    )
    pairs = [
        RatedPair(task["id"], _side(one, other), said, (_length(one), _length(other)))
        for (task, one, other), said in zip(sides, both, strict=True)
    ]
    return calibrate(judge.name, fingerprint=judge.fingerprint, scale=judge.scale, answers=answers, pairs=pairs)


def calibrate_stored(tasks: list[dict[str, Any]], name: str) -> Calibration:
    """The ratings in [0, 1] that the data set stores, brought to people's scale."""
    answers = [
        RatedAnswer(task["id"], people(row), 1 + math.floor((SCALE - 1) * _stored(row, name) + 0.5), _length(row))
        for task in tasks
        for row in task["answers"]
        if name in row["annotations"]
    ]
    return calibrate(name, fingerprint=name, scale=SCALE, answers=answers)


def rouge_difference(tasks: list[dict[str, Any]]) -> float:
    """Largest difference between our ROUGE-L and the stored one, where all letters are ASCII: theirs drops the others."""
    return max(
        abs(
            rouge_l(Example(task["id"], "?", (task["reference"],)), Answer(row["model_response"]))
            - float(row["annotations"]["RougeL"]["system"]["value"])
        )
        for task in tasks
        for row in task["answers"]
        if not any(letter.isalnum() and not letter.isascii() for letter in task["reference"] + row["model_response"])
    )


def figures(prefix: str, found: Calibration) -> dict[str, Figure]:
    """The calibration, flat."""
    flat: dict[str, Figure] = {
        f"{prefix}_answers": found.answers,
        f"{prefix}_pairs": found.pairs,
        f"{prefix}_unread": found.unread,
    }
    for name in (
        "agreement",
        "kappa",
        "spearman",
        "pair_agreement",
        "pair_kappa",
        "consistent",
        "first_shown",
        "longer",
        "length",
    ):
        flat |= _flat(f"{prefix}_{name}", getattr(found, name))
    flat |= _flat(f"{prefix}_accepts_bad", found.accepts_bad)
    flat[f"{prefix}_biases"] = ", ".join(bias.name for bias in found.biases) or "none"
    return flat


def _flat(name: str, figure: Measured) -> dict[str, Figure]:
    low, high = (figure.interval.low, figure.interval.high) if figure.interval else (None, None)
    return {name: figure.value, f"{name}_low": low, f"{name}_high": high} if figure.value is not None else {}


def _side(one: dict[str, Any], other: dict[str, Any]) -> Preference:
    gain = wins(one) - wins(other)
    return "tie" if gain == 0 else "first" if gain > 0 else "second"


def _length(row: dict[str, Any]) -> int:
    return len(row["model_response"].split())


def _stored(row: dict[str, Any], name: str) -> float:
    return float(next(iter(row["annotations"][name].values()))["value"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="openai:NAME, or any provider:name; by default the judges with planted biases")
    parser.add_argument("--parameters", type=int, help="weights of the model where its name does not say them")
    parser.add_argument("--limit", type=int, help="questions, each with three answers; by default all 159")
    parser.add_argument(
        "--with-reference", action="store_true", help="show the judge the reference answer, itself among those rated"
    )
    parser.add_argument("--name", default="judge")
    options = parser.parse_args()
    if options.model is None and os.environ.get("OPENAI_BASE_URL"):
        raise UsageError("a server is configured but no model is named.", remedy="Add --model openai:NAME.")
    tasks = read(data_folder("qa_mtrag"), limit=options.limit)
    result: dict[str, Figure] = {
        "questions": len(tasks),
        "measured_judge": options.model or "none: judges with planted biases only",
        "rouge_l_largest_difference": rouge_difference(tasks),
    }
    goals: list[Goal] = [goal("rouge_l_largest_difference", result["rouge_l_largest_difference"], "<=", 1e-9)]
    result |= figures("stored_rb_llm", calibrate_stored(tasks, "rb_llm"))
    if options.model:
        judge = load_judge(options.model, parameters=options.parameters, scale=SCALE)
        found = calibrate_judge(judge, tasks, reference=options.with_reference)
        result |= figures("judge", found)
        result["judge_may_gate"] = not why_no_gate(judge, found)
        result["judge_no_gate_because"] = why_no_gate(judge, found)
        goals.append(goal("judge_unread", found.unread, "<=", 0))
    else:
        for kind in ("fair", *PLANTED):
            found = calibrate_judge(load_judge(f"fake-judge:{kind}", scale=SCALE), tasks, reference=True)
            result |= figures(f"fake_{kind}", found)
            if kind in PLANTED:
                named = PLANTED[kind] in {bias.name for bias in found.biases}
                result[f"fake_{kind}_found"] = named
                goals.append(goal(f"fake_{kind}_found", named, "==", True))
    save(options.name, result, goals)


if __name__ == "__main__":
    main()
