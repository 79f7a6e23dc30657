"""How long a training will take, said before it starts. Knows tokens and pace; knows neither data nor money."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from groundtune.training.data import TrainingPair
from groundtune.training.lora import train
from groundtune.types import Audience, Message, Tuning

WORK = {"dpo": 2.7, "kto": 2.0, "grpo": 2.0}
"""Work of a pair in that of answering it once, by objective, where a step forward is a third of it: dpo reads two answers and
asks the reference for both; kto asks for one answer, and both models for a reference point; grpo draws each answer first."""

_SENTENCE = "These are some plain words of an ordinary sentence, put here so that there is something to read. "
_SENTENCE_TOKENS = 20


def estimate(pair_tokens: int, tuning: Tuning, *, tokens_per_second: float) -> float:
    """Minutes to train on pairs of `pair_tokens` tokens together (prompts and answers, seen once an epoch)."""
    work = WORK.get(tuning.objective, 1.0) * (tuning.generations if tuning.objective == "grpo" else 1)
    return work * pair_tokens * tuning.epochs / tokens_per_second / 60


def measure_throughput(model: str, tuning: Tuning, *, prompt_tokens: int, steps: int = 2) -> float:
    """Training tokens per second on prompts of about `prompt_tokens`: real steps of `tuning`, thrown away.

    Prompts share no beginning, so a task whose prompts do is faster. Raises as `train`.
    """
    text = _SENTENCE * max(1, round(prompt_tokens / _SENTENCE_TOKENS))
    pairs = [
        TrainingPair(str(number), (Message("user", f"{number} {text}"),), "a few words", Audience.of("everyone"))
        for number in range(steps * tuning.batch_size)
    ]
    with tempfile.TemporaryDirectory() as folder:
        plain = replace(tuning, epochs=1, objective="sft", start=None, rewards=(), data="")
        return train(model, pairs, plain, out=Path(folder), seed=0).tokens_per_second
