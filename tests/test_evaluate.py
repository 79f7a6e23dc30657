"""Evaluation: what a respondent sees, what is cached, and what a score holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from groundtune.errors import DataError, ModelFailure, UsageError
from groundtune.evaluation.evaluate import answer_from_json, answer_to_json, evaluate
from groundtune.store.artefacts import Artefacts
from groundtune.store.database import Database
from groundtune.store.stages import Stages
from groundtune.types import Answer, Citation, Evidence, Example, Message, Score, Usage

CITED = Citation(1, "a.md", "A", 0, 5, "Oslo.")
EXAMPLES = [
    Example(
        f"q{number}",
        f"question {number}?",
        ("Oslo",) if number % 2 else (),
        history=(Message("user", "Hello"),),
        evidence=(Evidence("a.md", "Oslo.", spans=((0, 5),)),),
        facts=("Oslo is meant.",),
        group=f"g{number // 2}",
        kind="city",
        principals=("staff",),
    )
    for number in (3, 1, 4, 0, 2)
]


@pytest.fixture
def stages(tmp_path: Path) -> Iterator[Stages]:
    database = Database(f"sqlite:///{tmp_path / 'state.db'}")
    yield Stages(database, Artefacts(tmp_path / "artefacts"))
    database.close()


class Oslo:
    """Says Oslo, cites it, and remembers what it was shown."""

    def __init__(self, *, fails_at: str = "") -> None:
        self.batches: list[list[Example]] = []
        self.fails_at = fails_at

    def __call__(self, examples: Sequence[Example]) -> list[Answer]:
        if any(example.id == self.fails_at for example in examples):
            raise KeyboardInterrupt
        self.batches.append(list(examples))
        return [Answer("Oslo", (CITED,), usage=Usage(7, 1), seconds=1.5, context=("a.md#0-5",)) for _ in examples]

    def ids(self) -> list[list[str]]:
        return [[example.id for example in batch] for batch in self.batches]


def run(respondent: Oslo, stages: Stages, examples: Sequence[Example] = EXAMPLES, *, model: str = "m") -> list[Score]:
    return evaluate(
        respondent,
        examples,
        candidate="rag",
        metrics=["exact_match", "citation_recall"],
        stages=stages,
        key={"model": model},
        batch_size=2,
        fold=1,
        seed=5,
    )


def test_scores_come_in_order_of_id_with_all_that_a_report_needs(stages: Stages) -> None:
    scores = run(Oslo(), stages)
    assert [score.item for score in scores] == ["q0", "q1", "q2", "q3", "q4"]
    assert scores[1] == Score(
        candidate="rag",
        item="q1",
        group="g0",
        kind="city",
        fold=1,
        seed=5,
        answer="Oslo",
        metrics={"exact_match": 1.0, "citation_recall": 1.0},
        usage=Usage(7, 1),
        context=("a.md#0-5",),
        citations=(CITED,),
    )
    assert scores[0].metrics == {"exact_match": 0.0}


def test_the_respondent_sees_neither_answers_nor_evidence(stages: Stages) -> None:
    oslo = Oslo()
    run(oslo, stages)
    shown = oslo.batches[0][0]
    assert shown == Example("q0", "question 0?", (), history=(Message("user", "Hello"),), principals=("staff",))


def test_a_second_run_asks_nothing_and_labels_may_change(stages: Stages) -> None:
    oslo = Oslo()
    first = run(oslo, stages)
    assert oslo.ids() == [["q0", "q1"], ["q2", "q3"], ["q4"]]
    relabelled = [Example(**{**{f: getattr(e, f) for f in e.__slots__}, "answers": ("Rome",)}) for e in reversed(EXAMPLES)]
    second = run(oslo, stages, relabelled)
    assert len(oslo.batches) == 3
    assert [score.answer for score in second] == [score.answer for score in first]
    assert {score.metrics["exact_match"] for score in second} == {0.0}
    run(oslo, stages, model="other")
    assert len(oslo.batches) == 6


def test_an_interrupted_run_continues(stages: Stages) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(Oslo(fails_at="q4"), stages)
    oslo = Oslo()
    run(oslo, stages)
    assert oslo.ids() == [["q4"]]


def test_an_answer_survives_storing_but_for_its_seconds() -> None:
    answer = Answer("x", (CITED,), abstained=True, reason="why", usage=Usage(1, 2), seconds=3.0, context=("c",))
    assert answer_from_json(answer_to_json(answer)) == Answer(
        "x", (CITED,), abstained=True, reason="why", usage=Usage(1, 2), context=("c",)
    )


def test_what_is_refused(stages: Stages) -> None:
    with pytest.raises(DataError, match="q1"):
        run(Oslo(), stages, [EXAMPLES[1], EXAMPLES[1]])
    with pytest.raises(UsageError, match="exact_match"):
        evaluate(Oslo(), EXAMPLES, candidate="c", metrics=["exact_mtch"], stages=stages, key={}, batch_size=2)
    with pytest.raises(ModelFailure, match=r"c: returned 0 answers to 2 questions\."):
        evaluate(lambda examples: [], EXAMPLES, candidate="c", metrics=["f1"], stages=stages, key={}, batch_size=2)
