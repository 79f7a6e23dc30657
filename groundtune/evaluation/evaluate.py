"""Answers and scores of a respondent over examples, cached by stages. Knows any callable; neither retrieval nor training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from groundtune.errors import DataError, ModelFailure
from groundtune.interfaces import Progress, Respondent
from groundtune.scoring import metric
from groundtune.scoring.settings import NOTHING_SET, Settings
from groundtune.store.stages import Stages
from groundtune.types import Answer, Citation, Evidence, Example, Message, Score, Usage

_VERSION = 1
"""Raised when the stored form of an answer changes."""


def evaluate(
    respondent: Respondent,
    examples: Sequence[Example],
    *,
    candidate: str,
    metrics: Sequence[str],
    stages: Stages,
    key: Mapping[str, Any],
    batch_size: int,
    fold: int = 0,
    seed: int = 0,
    show_evidence: bool = False,
    settings: Settings = NOTHING_SET,
    progress: Progress | None = None,
) -> list[Score]:
    """Ask every example once and score the answers; scores in order of item id.

    The respondent sees what `blind` leaves of an item. `key` is the JSON of all that its answers depend on besides the items:
    settings, weights, engine, index version, seed. Batches are cut from sorted ids and cached one by one, so an interrupted
    evaluation continues where it stopped and a second one asks nothing. Scoring is not cached: metrics are pure and cheap.
    `settings` are what some metrics need. Raises DataError for ids that occur twice, UsageError for an unknown metric,
    ModelFailure when answers are missing.
    """
    chosen = {name: metric(name, settings=settings) for name in metrics}
    by_id = {example.id: example for example in examples}
    if len(by_id) < len(examples):
        double = Counter(example.id for example in examples).most_common(1)[0][0]
        raise DataError("two examples have the same id.", subject=double, remedy="Give each its own.")
    asked = {identity: blind(example, show_evidence=show_evidence) for identity, example in by_id.items()}

    def answer_batch(ids: list[str]) -> list[Any]:
        answers = respondent([asked[identity] for identity in ids])
        if len(answers) != len(ids):
            raise ModelFailure(f"returned {len(answers)} answers to {len(ids)} questions.", subject=candidate)
        return [answer_to_json(answer) for answer in answers]

    stored = stages.map(
        "answer",
        version=_VERSION,
        key=key,
        items={identity: _item_to_json(example) for identity, example in asked.items()},
        batch_size=batch_size,
        compute=answer_batch,
        progress=progress,
    )
    scores = []
    for identity in sorted(by_id):
        example, answer = by_id[identity], answer_from_json(stored[identity])
        values = {name: one(example, answer) for name, one in chosen.items()}
        scores.append(
            Score(
                candidate=candidate,
                item=identity,
                group=example.group,
                kind=example.kind,
                fold=fold,
                seed=seed,
                answer=answer.text,
                metrics={name: float(value) for name, value in values.items() if value is not None},
                abstained=answer.abstained,
                usage=answer.usage,
                context=answer.context,
                citations=answer.citations,
            )
        )
    return scores


def blind(example: Example, *, show_evidence: bool = False) -> Example:
    """What a respondent may see of an item: id, question, history, principals; its evidence only in the gold-evidence probe."""
    return Example(
        id=example.id,
        question=example.question,
        answers=(),
        history=example.history,
        evidence=example.evidence if show_evidence else (),
        principals=example.principals,
    )


def answer_to_json(answer: Answer) -> dict[str, Any]:
    """An answer as stored, without id and seconds: a stored answer must not depend on how busy the machine was."""
    stored = asdict(answer)
    del stored["seconds"], stored["id"]
    return stored


def answer_from_json(stored: Any) -> Answer:
    """The answer that `answer_to_json` stored, with `seconds` 0."""
    return replace(
        Answer(stored["text"], abstained=stored["abstained"], reason=stored["reason"]),
        citations=tuple(Citation(**one) for one in stored["citations"]),
        usage=Usage(**stored["usage"]),
        context=tuple(stored["context"]),
    )


def _item_to_json(example: Example) -> dict[str, Any]:
    return {
        "question": example.question,
        "history": [_pair(message) for message in example.history],
        "principals": sorted(example.principals),
        "evidence": [_place(evidence) for evidence in example.evidence],
    }


def _pair(message: Message) -> list[str]:
    return [message.role, message.content]


def _place(evidence: Evidence) -> list[Any]:
    return [evidence.document, evidence.quote, [list(span) for span in evidence.spans]]
