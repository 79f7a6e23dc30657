"""What a training will take, said before it starts. Knows tokens and pace; knows neither money nor who asks."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from groundtune.models.weights import folder
from groundtune.prompting.chat import ChatTokenizer
from groundtune.training.data import TrainingPair
from groundtune.training.encode import encode, schedule
from groundtune.training.trainer import TrainingResult, train
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


@dataclass(frozen=True, slots=True)
class Counted:
    """What a training would read, counted on its pairs."""

    tokens: int
    """Of prompts and answers, each pair once."""
    pairs: int
    too_long: tuple[str, ...]
    """Ids of pairs that would be left out."""
    steps: int


def count_pairs(
    model: str, pairs: Sequence[TrainingPair], tuning: Tuning, *, seed: int, count_tokens: Callable[[str], int]
) -> Counted:
    """Exactly what training of a model with a tokenizer here would read; of others, words by `count_tokens`.

    Raises DataError where training would, before anything is spent.
    """
    if model.partition(":")[0] not in ("embedded", "hf"):
        lengths = [sum(map(count_tokens, (pair.answer, *(one.content for one in pair.messages)))) for pair in pairs]
        left: list[str] = []
    else:
        encoded, left = encode(pairs, ChatTokenizer.from_folder(folder(model)), max_length=tuning.max_length)
        lengths = [len(one.ids) for one in encoded]
    steps = schedule(lengths, epochs=tuning.epochs, batch_size=tuning.batch_size, seed=seed)
    return Counted(sum(lengths), len(lengths), tuple(left), len(steps))


def measure_throughput(model: str, tuning: Tuning, *, prompt_tokens: int, steps: int = 2) -> float:
    """Training tokens per second; see `measure_training`."""
    return measure_training(model, tuning, prompt_tokens=prompt_tokens, steps=steps).tokens_per_second


def measure_training(
    model: str, tuning: Tuning, *, prompt_tokens: int, steps: int = 2, pairs: Sequence[TrainingPair] = ()
) -> TrainingResult:
    """Real steps of `tuning`, thrown away: their pace and peak memory. The folder that the result names is gone.

    Of `pairs` so many as the steps need, from first to last at equal distances; without any, prompts of about
    `prompt_tokens` are made up, which share no beginning: a task whose prompts do is faster. Raises as `train`.
    """
    wanted = steps * tuning.batch_size
    text = _SENTENCE * max(1, round(prompt_tokens / _SENTENCE_TOKENS))
    pairs = [pairs[len(pairs) * place // wanted] for place in range(wanted) if len(pairs) >= wanted] or [
        TrainingPair(str(number), (Message("user", f"{number} {text}"),), "a few words", Audience.of("everyone"))
        for number in range(wanted)
    ]
    plain = replace(tuning, epochs=1, objective="sft", start=None, rewards=(), data="")
    with tempfile.TemporaryDirectory() as drafts:
        return train(model, pairs, plain, out=Path(drafts), seed=0)
