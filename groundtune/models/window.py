"""How many tokens a model can read, and the refusal of more. Knows config.json only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from groundtune.errors import ModelFailure


def window(folder: Path) -> int:
    """Tokens of prompt and answer together that the model of a folder was made for."""
    return int(json.loads((folder / "config.json").read_text(encoding="utf-8"))["max_position_embeddings"])


def check_window(prompt: Sequence[int], *, max_new_tokens: int, window: int, model: str) -> None:
    """Raise ModelFailure when prompt and answer do not fit, rather than answer from half a prompt."""
    if len(prompt) + max_new_tokens > window:
        raise ModelFailure(
            f"a prompt of {len(prompt)} tokens and {max_new_tokens} new ones do not fit its window of {window}.",
            subject=model,
            remedy="Lower retrieval.k, retrieval.max_tokens or examples.k, or use a model with a larger window.",
        )
