"""Probes, decomposition, matrix and predictions: hand-made scores of known truth, and a whole race with the fake model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import groundtune
from groundtune.decision.decomposition import decompose, matrix
from groundtune.decision.predictions import Book, Evidence, predict
from groundtune.decision.reader import reading_pairs, shares_questions
from groundtune.types import NOT_IN_DOCUMENTS, Candidate, Example, NearestExamples, RetrievedContext, Score, Tuning
from tests.firm import CONFIG, write_firm

COUNT = 60
EXAMPLES = {f"q{n:02d}": Example(f"q{n:02d}", f"question {n}?", (f"answer {n}",), group=f"g{n // 2}") for n in range(COUNT)}
RAG = Candidate("rag", "fake:extract", context=RetrievedContext())
TUNED = Candidate("tuned", "fake:extract", tuning=Tuning())
RAG_TUNED = Candidate("rag_tuned", "fake:extract", context=RetrievedContext(), tuning=Tuning())
FEW_SHOT = Candidate("few_shot", "fake:extract", examples=NearestExamples())
PROMPT = Candidate("prompt", "fake:extract")


def row(right: float, *, contains: float = 0.0) -> list[Score]:
    return [
        Score(
            "x",
            item,
            example.group,
            "",
            0,
            0,
            "",
            {"f1": float(n < right * COUNT), "contains": float(n < contains * COUNT)},
            context=("c",),
        )
        for n, (item, example) in enumerate(EXAMPLES.items())
    ]


def held(share: float) -> dict[str, bool]:
    return {item: n < share * COUNT for n, item in enumerate(EXAMPLES)}


def flat(share: float) -> dict[str, float]:
    return {item: float(n < share * COUNT) for n, item in enumerate(EXAMPLES)}


# --- decomposition and matrix -------------------------------------------------------------------------------------------


def test_each_loss_is_the_one_that_was_planted() -> None:
    found = decompose(
        row(0.5, contains=0.8), rag=row(0.3), closed_book=row(0.1), examples=EXAMPLES, held=held(0.7), metric="f1"
    )
    assert found is not None and found.closed_book is not None
    planted = {"retrieval_loss": 0.2, "format_loss": 0.3, "reading_loss": 0.2, "answer_in_context": 0.7, "retrieved": 0.3}
    for name, value in planted.items():
        measure = getattr(found, name)
        assert measure.value == pytest.approx(value), name
        assert measure.interval.low <= value <= measure.interval.high and measure.interval.high - measure.interval.low < 0.5
    assert found.closed_book.value == pytest.approx(0.1)


def test_items_that_were_shown_no_evidence_stay_out() -> None:
    probe = [
        score if n % 2 else Score("x", score.item, score.group, "", 0, 0, "", score.metrics) for n, score in enumerate(row(1.0))
    ]
    found = decompose(probe, rag=row(0.5), closed_book=None, examples=EXAMPLES, held={}, metric="f1")
    assert found is not None and (found.items, found.closed_book) == (COUNT // 2, None)
    assert decompose([], rag=row(0.5), closed_book=None, examples=EXAMPLES, held={}, metric="f1") is None


@pytest.mark.parametrize(
    ("known", "acting", "words"),
    [
        (0.05, 0.95, "need of external data: high; need of capability or behaviour: low"),
        (0.95, 0.05, "need of external data: low; need of capability or behaviour: high"),
        (0.5, 0.5, "need of external data: undecided; need of capability or behaviour: undecided"),
    ],
)
def test_the_position_is_measured_and_says_when_it_is_undecided(known: float, acting: float, words: str) -> None:
    found = matrix(closed_book=row(known), probe=row(acting), examples=EXAMPLES, metric="f1", has_documents=True)
    assert found.words == words and found.external_data is not None and found.behaviour is not None
    assert found.external_data.value == pytest.approx(1 - known) and found.behaviour.value == pytest.approx(1 - acting)


def test_without_documents_all_that_is_lost_is_behaviour() -> None:
    found = matrix(closed_book=row(0.2), probe=[], examples=EXAMPLES, metric="f1", has_documents=False)
    assert found.external_data is None and found.behaviour is not None and found.behaviour.value == pytest.approx(0.8)
    assert "not applicable" in found.words


# --- predictions --------------------------------------------------------------------------------------------------------


def known(**more: Any) -> Evidence:
    facts: dict[str, Any] = {
        "held": held(0.8),
        "mechanical": flat(0),
        "gold": flat(0.5),
        "gold_relaxed": flat(0.6),
        "nearest": flat(0.1),
    }
    return Evidence(EXAMPLES, has_documents=True, constant=0.02, **(facts | more))


def test_retrieval_is_expected_to_read_what_it_finds() -> None:
    found = predict(RAG, known(held=held(0.3)))
    assert found.expected == pytest.approx(0.3)
    assert found.low == 0.0 and 0.3 < found.high < 0.6


def test_tuned_reading_lies_between_what_is_read_and_what_is_found() -> None:
    plain = predict(RAG_TUNED, known())
    assert 0.6 < plain.expected < 0.8 < plain.high
    reader = predict(RAG_TUNED, known(reader=flat(0.7)))
    assert reader.expected == pytest.approx(0.7) and "reader" in reader.basis
    assert predict(RAG_TUNED, known(retrieved=flat(0.5))).low > plain.low - 1e-9


def test_without_context_it_is_what_labels_give_away() -> None:
    assert predict(PROMPT, known()).expected == pytest.approx(0.02)
    assert predict(FEW_SHOT, known()).expected == pytest.approx(0.1)
    assert predict(TUNED, known(closed_book=flat(0.3))).expected == pytest.approx(0.3)
    alone = Evidence(EXAMPLES, has_documents=False, constant=0.1, nearest=flat(0.6))
    assert predict(TUNED, alone).expected == pytest.approx(0.6) and predict(TUNED, alone).high == pytest.approx(1.0)
    unlike = Evidence(EXAMPLES, has_documents=False, constant=0.5, nearest=flat(0.1))
    for one in (FEW_SHOT, TUNED):
        found = predict(one, unlike)
        assert found.expected == pytest.approx(0.5), "the commonest answer can be learned"
        assert found.basis == "best of nearest example's answer, best constant answer"


@pytest.mark.parametrize("candidate", [PROMPT, FEW_SHOT, RAG, TUNED, RAG_TUNED], ids=lambda one: one.name)
def test_every_prediction_is_a_range_around_its_expectation(candidate: Candidate) -> None:
    for evidence in (
        known(),
        Evidence(EXAMPLES, has_documents=True, constant=0.0),
        Evidence(EXAMPLES, has_documents=False, constant=0.3),
    ):
        found = predict(candidate, evidence)
        assert 0 <= found.low <= found.expected <= found.high <= 1 + 1e-9


def test_a_prediction_is_never_written_twice_and_dies_with_its_items(tmp_path: Path) -> None:
    path = tmp_path / "predictions.json"
    Book(path, fingerprint="a").write(predict(PROMPT, known(), clock=lambda: 1.0))
    again = Book(path, fingerprint="a")
    again.write(predict(PROMPT, known(), clock=lambda: 2.0))
    (scored,) = again.scored({"prompt": 0.12, "rag": 0.5})
    assert scored.prediction.created == 1.0 and scored.error == pytest.approx(0.1) and scored.inside
    assert Book(path, fingerprint="b").scored({"prompt": 0.12}) == ()


# --- the whole way ------------------------------------------------------------------------------------------------------


def test_predictions_are_stored_before_the_candidate_is_built(tmp_path: Path) -> None:
    root = write_firm(tmp_path)
    path = root / ".groundtune" / "runs" / "decide-0001" / "predictions.json"
    seen: dict[str, list[str]] = {}

    def watch(stage: str, done: int, total: int) -> None:
        words = stage.split()
        if words[0] in ("train", "answer") and words[1] not in seen:
            seen[words[1]] = list(json.loads(path.read_text())["predictions"])

    decision = groundtune.decide(root, progress=watch)
    order = ["prompt", "few_shot", "rag", "tuned", "rag_tuned"]
    assert {name: names[-1] for name, names in seen.items()} == {name: name for name in order}
    assert decision.report is not None
    rows = decision.report["predictions"]
    assert [row["prediction"]["candidate"] for row in rows] == order
    for row in rows:
        mean = next(one for one in decision.report["candidates"] if one["name"] == row["prediction"]["candidate"])["metrics"][
            "f1"
        ]
        assert row["measured"] == pytest.approx(mean) and row["error"] == pytest.approx(mean - row["prediction"]["expected"])
    for name in ("report.md", "report.html"):
        assert "Predicted and measured" in (root / name).read_text(encoding="utf-8")
    probes = decision.report["probes"]
    assert probes["answer_in_context"]["value"] > 0.5 and probes["nearest_answer"] is not None and probes["reader"] is None
    assert probes["matrix"]["external_data"]["value"] > 0.5
    assert any(left.candidate == "reader" and "decision.reader = true" in left.reason for left in decision.plan.left_out)


def test_the_reader_is_trained_once_on_other_documents_and_reused(tmp_path: Path) -> None:
    root = write_firm(tmp_path, config=CONFIG + "reader = true\n")
    first = groundtune.decide(root, candidates=["prompt", "rag"])
    assert first.report is not None and first.report["probes"]["reader"] is not None
    planned = {(stage.name, stage.candidate) for stage in first.plan.stages}
    assert {("train", "reader"), ("probe", "reader")} <= planned and "reader" not in first.plan.candidates
    (folder,) = (root / ".groundtune" / "weights").glob("reader-*")
    training = json.loads((folder / "training.json").read_text())
    assert training["documents"] == [] and not any("kettle" in item for item in training["examples"])
    again = groundtune.decide(root, candidates=["prompt", "rag"], plan_only=True).plan
    assert ("train", "reader") not in {(stage.name, stage.candidate) for stage in again.stages}
    tight = groundtune.decide(root, candidates=["prompt", "rag"], plan_only=True, budget="0.001s").plan
    assert "reader" in {left.candidate for left in tight.left_out}


def test_reading_pairs_show_the_gold_passage_and_one_of_another_document() -> None:
    pairs = reading_pairs(RAG)
    assert len(pairs) > 50 and any(pair.answer == NOT_IN_DOCUMENTS for pair in pairs)
    firsts = 0
    for pair in pairs:
        prompt = pair.messages[-1].content
        assert prompt.count("\n[1] ") == 1 and prompt.count("\n[2] ") == 1
        firsts += pair.answer in prompt.split("\n[2] ")[0]
    assert 0.2 < firsts / len(pairs) < 0.8, "the gold passage stands in either place"
    asked: Sequence[Mapping[str, Any]] = [{"question": pairs[0].messages[-1].content.rpartition("Question: ")[2].strip()}]
    assert shares_questions([Example("mine", asked[0]["question"], ("x",))])
    assert not shares_questions(list(EXAMPLES.values()))
