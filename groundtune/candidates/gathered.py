"""What a candidate learns answers from: the task's examples and those of a dataset. Trains nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from groundtune.access.audience import conjoin
from groundtune.candidates.workshop import Workshop
from groundtune.dataset.check import locate
from groundtune.errors import NotFound
from groundtune.training.data import folded
from groundtune.types import Audience, Caller, Example, Tuning

ANSWERS = ("sft", "raft", "grpo")
"""Objectives that learn from examples with answers."""


@dataclass(frozen=True, slots=True)
class Learnable:
    """Examples with who may read each and where their evidence stands."""

    examples: tuple[Example, ...]
    """By id, so that the order in which they came changes nothing."""
    audience_of: Callable[[Example], Audience]
    evidence: Mapping[str, Sequence[tuple[str, int, int]]]
    """Example id -> located spans (document, start, end)."""
    withheld: tuple[str, ...] = ()
    """Ids of a dataset's examples that ask what a race will ask."""
    dataset: str = ""
    """Id of the dataset; empty without one."""


def learnable(tuning: Tuning, *, workshop: Workshop, train_examples: Sequence[Example]) -> Learnable:
    """The task's training examples, and those of the dataset that `tuning.data` names.

    An example of a dataset is called DATASET/ID and is readable by those who may use the dataset and may read its evidence now.
    Raises NotFound for a dataset that is unknown, Withdrawn for one that was withdrawn.
    """
    own = tuple(sorted(train_examples, key=lambda example: example.id))
    if not tuning.data or tuning.objective not in ANSWERS or workshop.dataset is None:
        return Learnable(own, workshop.audience_of, workshop.evidence)
    kept = workshop.dataset(tuning.data)
    asked = {folded(question) for question in workshop.questions} - {folded(example.question) for example in own}
    added = {f"{kept.id[:12]}/{one.id}": one for one in kept.examples if folded(one.question) not in asked}
    gathered = tuple(replace(one, id=id) for id, one in sorted(added.items()))
    names = set(added)

    def audience_of(example: Example) -> Audience:
        now = workshop.audience_of(example)
        return conjoin([kept.audience, *([now] if example.evidence else [])]) if example.id in names else now

    return Learnable(
        examples=tuple(sorted((*own, *gathered), key=lambda example: example.id)),
        audience_of=audience_of,
        evidence={**workshop.evidence, **{one.id: _spans(one, workshop) for one in gathered}},
        withheld=tuple(one.id for one in kept.examples if folded(one.question) in asked),
        dataset=kept.id,
    )


def _spans(example: Example, workshop: Workshop) -> list[tuple[str, int, int]]:
    """Where the evidence stands in the documents as they are now; what has gone since is left out."""
    if workshop.retriever is None or not workshop.trained_for:
        return []
    user, found = Caller.of(workshop.trained_for[0]), []
    for evidence in example.evidence:
        try:
            text = workshop.retriever.document(evidence.document, caller=user).text
        except NotFound:
            continue
        found += [(evidence.document, start, end) for start, end in locate(evidence.quote, text) or ()]
    return found
