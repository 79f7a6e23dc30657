"""What a network in training answers, and what that is worth: the score of an epoch. Knows torch and a metric; no steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from groundtune.prompting.chat import ChatTokenizer
from groundtune.training.data import TrainingPair
from groundtune.training.rewards import Reward

BATCH = 8
"""Prompts answered together."""


class Judge:
    """Called without arguments: the mean reward of the network's greedy answers to held-out pairs, as it stands."""

    def __init__(
        self,
        network: PreTrainedModel,
        tokens: ChatTokenizer,
        pairs: Sequence[TrainingPair],
        reward: Reward,
        *,
        max_new_tokens: int,
    ) -> None:
        self._network, self._tokens, self._reward, self._limit = network, tokens, reward, max_new_tokens
        scored = [pair for pair in pairs if pair.example is not None]
        self._pairs = sorted(scored, key=lambda pair: sum(len(one.content) for one in pair.messages))

    def __call__(self) -> float:
        total = 0.0
        for start in range(0, len(self._pairs), BATCH):
            pairs = self._pairs[start : start + BATCH]
            texts = answers(self._network, self._tokens, pairs, max_new_tokens=self._limit)
            for pair, text in zip(pairs, texts, strict=True):
                if pair.example is not None:
                    total += self._reward.total(pair.example, text)
        return total / max(1, len(self._pairs))

    def details(self, scores: Sequence[float]) -> dict[str, float]:
        """Figures for the record: the best epoch, counted from 1, and the score of each."""
        named = {f"score_epoch_{number}": value for number, value in enumerate(scores, start=1)}
        return {"held_out": float(len(self._pairs)), "best_epoch": float(scores.index(max(scores)) + 1), **named}


def answers(
    network: PreTrainedModel, tokens: ChatTokenizer, pairs: Sequence[TrainingPair], *, max_new_tokens: int
) -> list[str]:
    """Greedy answers to the prompts of `pairs`, padded on the left."""
    prompts = [tokens.render_ids(pair.messages) for pair in pairs]
    longest = max(map(len, prompts))
    ids = torch.tensor([[tokens.pad_id] * (longest - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    generate: Any = network.generate
    with torch.inference_mode():
        out = generate(
            ids.to(network.device),
            attention_mask=mask.to(network.device),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            eos_token_id=list(tokens.stop_ids),
            pad_token_id=tokens.pad_id,
        )
    found = []
    for row in out[:, longest:].tolist():
        end = next((place for place, number in enumerate(row) if number in tokens.stop_ids), len(row))
        found.append(tokens.decode(row[:end]))
    return found
