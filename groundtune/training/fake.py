"""Training of `fake:` models: they remember their pairs. Writes the same files and figures as real training, instantly."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groundtune.interfaces import Progress
from groundtune.models.fake import TOKEN, recall, remember
from groundtune.training.data import TrainingPair
from groundtune.training.rewards import Reward
from groundtune.types import Message, Tuning


class FakeTrainer:
    """Its weights are its name."""

    def base(self, model: str) -> str:
        return model

    def train(
        self,
        model: str,  # noqa: ARG002
        pairs: Sequence[TrainingPair],
        tuning: Tuning,
        *,
        out: Path,
        seed: int,  # noqa: ARG002 - nothing is drawn
        identity: str,  # noqa: ARG002 - nothing to continue
        progress: Progress | None,
        start: Path | None = None,
        reward: Reward | None = None,  # noqa: ARG002 - nothing is drawn
    ) -> dict[str, Any]:
        """Write the adapter to `out`; returns the figures of a TrainingResult. Its loss falls to zero."""
        started = time.monotonic()
        known = (
            [((Message("user", f"Question: {question}"),), answer) for question, answer in recall(start)]
            if start is not None
            else []
        )
        liked = [(pair.messages, pair.answer) for pair in pairs if pair.messages and pair.liked]
        remember([*liked, *known], out)
        if progress is not None:
            for epoch in range(tuning.epochs):
                progress("train", epoch + 1, tuning.epochs)
        texts = [text for pair in pairs for text in (pair.answer, *(message.content for message in pair.messages))]
        return {
            "steps": tuning.epochs,
            "seconds": time.monotonic() - started,
            "tokens": tuning.epochs * sum(len(TOKEN.findall(text)) for text in texts),
            "loss_first": 1.0,
            "loss_last": 0.0,
            "peak_memory_bytes": 0,
            "pairs": len(pairs),
            "too_long": (),
            "resumed_at": 0,
        }
