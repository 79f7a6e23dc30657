"""Pairs as token ids and the order in which they are seen. Knows tokens and masks; neither torch nor what the text is about."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from groundtune.errors import DataError
from groundtune.training.data import TrainingPair
from groundtune.types import Message

IGNORED = -100
"""Label of a position that is not learned (the value that PyTorch's cross-entropy skips by default)."""

BUCKET = 8
"""Batches sorted together by length; more saves padding, fewer mixes better."""


class Tokens(Protocol):
    """What training needs of a chat tokenizer: the very ids that serving feeds the model."""

    def render_pair(self, messages: Sequence[Message], answer: str) -> tuple[list[int], list[int]]:
        """(prompt ids as serving renders them, answer ids up to and including the end of turn)."""
        ...

    def encode(self, text: str) -> list[int]:
        """Plain text as ids; nothing in it counts as a control token."""
        ...


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """Prompt + answer + end of turn, or plain text, as ids; `labels[i]` is `ids[i]` where it is learned, else IGNORED."""

    id: str
    ids: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def answer_tokens(self) -> int:
        return sum(label != IGNORED for label in self.labels)


def encode_pair(pair: TrainingPair, tokens: Tokens) -> EncodedPair:
    """The prompt exactly as serving renders it, then the answer and the end of turn; only these last two are learned."""
    prompt, answer = tokens.render_pair(pair.messages, pair.answer.strip())
    return EncodedPair(pair.id, (*prompt, *answer), (*[IGNORED] * len(prompt), *answer))


def encode_text(pair: TrainingPair, tokens: Tokens, *, max_length: int) -> list[EncodedPair]:
    """Plain text in rows of at most `max_length` tokens; each token but the text's first is learned exactly once.

    A row begins with the last token of the row before it, whose successor it learns. No control token is added: a document
    that ends is no turn that ends.
    """
    ids = tuple(tokens.encode(pair.answer))
    rows = [ids[start : start + max_length] for start in range(0, max(1, len(ids) - 1), max_length - 1)]
    return [EncodedPair(f"{pair.id}#{number}", row, (IGNORED, *row[1:])) for number, row in enumerate(rows) if len(row) > 1]


def encode(pairs: Sequence[TrainingPair], tokens: Tokens, *, max_length: int) -> tuple[list[EncodedPair], list[str]]:
    """(encoded pairs, ids of those left out because their prompt is too long). An answer is never cut, plain text is.

    Raises DataError when there is nothing to learn from, or when an answer alone is longer than `max_length`.
    """
    if not pairs:
        raise DataError("there is nothing to train on.", subject="training", remedy="Add examples to the train split.")
    kept: list[EncodedPair] = []
    left_out: list[str] = []
    for pair in pairs:
        if not pair.answer.strip():
            raise DataError("its answer is empty.", subject=pair.id, remedy="Give it an answer or leave it out.")
        if not pair.messages:
            kept += encode_text(pair, tokens, max_length=max_length)
            continue
        encoded = encode_pair(pair, tokens)
        if encoded.answer_tokens >= max_length:
            raise DataError(
                f"its answer is {encoded.answer_tokens} tokens long, training.max_length is {max_length}.",
                subject=pair.id,
                remedy="Shorten the answer or raise training.max_length.",
            )
        if len(encoded.ids) > max_length:
            left_out.append(pair.id)
        else:
            kept.append(encoded)
    if not kept:
        raise DataError(
            f"every one of the {len(pairs)} prompts is longer than training.max_length = {max_length} tokens.",
            subject="training",
            remedy="Raise training.max_length, or retrieve fewer or shorter chunks.",
        )
    return kept, left_out


def schedule(lengths: Sequence[int], *, epochs: int, batch_size: int, seed: int) -> list[tuple[int, ...]]:
    """Batches of positions into `lengths`, step by step: each epoch sees every position once, neighbours in length together.

    A function of its arguments alone, so an interrupted training finds its place again by the number of steps done.
    """
    steps: list[tuple[int, ...]] = []
    for epoch in range(epochs):
        rng = random.Random(f"{seed}:{epoch}")  # noqa: S311 - an order, not a secret
        order = list(range(len(lengths)))
        rng.shuffle(order)
        batches: list[tuple[int, ...]] = []
        for start in range(0, len(order), batch_size * BUCKET):
            bucket = sorted(order[start : start + batch_size * BUCKET], key=lambda position: lengths[position])
            batches.extend(tuple(bucket[first : first + batch_size]) for first in range(0, len(bucket), batch_size))
        rng.shuffle(batches)
        steps.extend(batches)
    return steps
