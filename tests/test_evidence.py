"""How much speaks for an answer, and when that is too little: against counting by hand and brute force over pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import groundtune
from groundtune.answer.assistant import TOO_LITTLE_EVIDENCE
from groundtune.answer.evidence import evidence_of
from groundtune.evaluation.threshold import auroc, calibrate, coverage_at
from groundtune.types import Chunk, Hit, Query
from tests.firm import CONFIG, write_firm


def hit(text: str, **about: float) -> Hit:
    return Hit(Chunk("d#0-1", "d", text, 0, 1, ("Holiday",)), "Rules", 1.0, metadata=about)


def test_evidence_is_cosine_lead_and_half_the_words() -> None:
    hits = [hit("Thirty days a year.", cosine=0.5, lead=0.1), hit("x", cosine=0.6, lead=0.2)]
    assert evidence_of("How many days of holiday?", hits) == pytest.approx(0.5 + 0.2 + 2 / 3 / 2)  # many, days, holiday
    assert evidence_of(Query("And rules?", ("days?",)), hits) == pytest.approx(0.7 + 2 / 2 / 2)
    assert evidence_of("days", [hit("days"), hit("x", cosine=0.4, lead=0.3)]) == pytest.approx(0.4 + 0.3 + 0.5)
    assert evidence_of("days", []) == 0.0
    assert evidence_of("days", [hit("days")]) is None


def test_auroc_is_the_share_of_ordered_pairs() -> None:
    random = np.random.default_rng(1)
    numbers = random.integers(0, 8, 40) / 8
    known = random.random(40) < 0.6
    pairs = [(a > b) + (a == b) / 2 for a in numbers[known] for b in numbers[~known]]
    assert auroc(list(numbers), list(known)) == pytest.approx(np.mean(pairs))
    assert auroc([1, 2, 3, 4], [False, False, True, True]) == 1.0


def test_coverage_is_the_most_that_keeps_the_precision() -> None:
    numbers, known = [0.9, 0.8, 0.7, 0.6, 0.5], [True, True, False, True, False]
    assert coverage_at(numbers, known, precision=0.75) == (0.8, 0.6)
    assert coverage_at(numbers, known, precision=0.9) == (0.4, 0.8)
    assert coverage_at(numbers, known, precision=0.5) == (1.0, 0.5)
    assert coverage_at([1.0, 1.0], [True, False], precision=0.9) == (0.0, float("inf"))


def test_the_threshold_does_what_it_reports() -> None:
    random = np.random.default_rng(2)
    known = np.array([True] * 60 + [False] * 40)
    numbers = np.where(known, random.normal(1.0, 0.3, 100), random.normal(0.6, 0.3, 100))
    found = calibrate(list(numbers), list(known))
    assert found is not None
    answered = numbers >= found.threshold
    assert found.answered_precision == known[answered].mean() >= 0.9
    assert found.coverage == answered.mean()
    assert found.abstained_recall == (~answered & ~known).sum() / 40
    assert found.abstained_precision == (~answered & ~known).sum() / (~answered).sum()
    assert (found.answerable, found.unanswerable) == (60, 40)
    lower = numbers >= sorted(numbers[numbers < found.threshold])[-1]
    assert known[lower].mean() < 0.9


def test_nothing_is_calibrated_on_few_items_and_none_gained_where_numbers_tell_nothing() -> None:
    assert calibrate([1.0] * 30, [True] * 21 + [False] * 9) is None
    blind = calibrate([1.0] * 30, [True] * 20 + [False] * 10)
    assert blind is not None
    assert (blind.threshold, blind.coverage, blind.auroc) == (0.0, 1.0, 0.5)


def test_an_assistant_abstains_below_its_threshold_without_asking_the_model(tmp_path: Path) -> None:
    config = CONFIG + '[index]\nbackend = "sqlite"\n'
    root = write_firm(tmp_path, config=config)
    groundtune.sync(root)
    question = "What does the kettle weigh?"
    hits = groundtune.search(question, root=root, principals=["staff"], k=3)
    evidence = evidence_of(question, hits)
    assert evidence is not None
    answers = []
    for threshold in (evidence - 0.001, evidence + 0.001):
        (root / "groundtune.toml").write_text(config + f"[retrieval]\nmin_evidence = {threshold}\n")
        answers.append(groundtune.ask(question, root=root, principals=["staff"]))
    assert not answers[0].abstained
    assert (answers[1].abstained, answers[1].reason, answers[1].usage.input_tokens) == (True, TOO_LITTLE_EVIDENCE, 0)
