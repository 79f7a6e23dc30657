"""What an answer that a model drew is worth: metrics of `scoring`, weighted. Knows names and weights; it computes no metric."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from groundtune.answer.assistant import says_unknown
from groundtune.errors import UsageError
from groundtune.interfaces import Metric
from groundtune.scoring import metric
from groundtune.scoring.settings import NOTHING_SET, Settings
from groundtune.store.stages import digest
from groundtune.types import NOT_IN_DOCUMENTS, Answer, Example

NEEDS_CITATIONS = ("citation_precision", "citation_recall", "claims_supported")
"""Metrics of what serving adds to an answer; a drawn answer has none of it."""


@dataclass(frozen=True, slots=True)
class Reward:
    """Metrics that an answer is drawn for, and how much each counts."""

    names: tuple[str, ...]
    weights: tuple[float, ...]
    metrics: tuple[Metric, ...]
    identity: str
    """Digest of the names, the weights and the files that the metrics read."""

    def score(self, place: int, example: Example, text: str) -> float | None:
        """The metric at `place` of a drawn answer, read as an assistant reads it; None where it does not apply."""
        unknown = says_unknown(text) or not text.strip()
        answer = Answer(NOT_IN_DOCUMENTS if unknown else text.strip(), abstained=unknown)
        return self.metrics[place](example, answer)

    def total(self, example: Example, text: str) -> float:
        """The weighted sum; a metric that does not apply adds nothing."""
        values = [self.score(place, example, text) for place in range(len(self.names))]
        return sum(weight * value for weight, value in zip(self.weights, values, strict=True) if value is not None)


def reward_of(weighted: Sequence[tuple[str, float]], *, settings: Settings = NOTHING_SET) -> Reward:
    """The reward of (metric, weight). Raises UsageError for an unknown metric or one that needs citations, ConfigError."""
    for name, _ in weighted:
        if name in NEEDS_CITATIONS:
            raise UsageError("it scores citations, and a drawn answer has none.", subject=name)
    files = [path for path in (settings.database, settings.json_schema) if path is not None and path.is_file()]
    read = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    return Reward(
        names=tuple(name for name, _ in weighted),
        weights=tuple(weight for _, weight in weighted),
        metrics=tuple(metric(name, settings=settings) for name, _ in weighted),
        identity=digest({"rewards": [list(one) for one in weighted], "files": read}),
    )
