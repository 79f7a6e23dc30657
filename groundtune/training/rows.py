"""Rated answers as rows of token ids, and how often the better one is found. Knows tokens; neither torch nor TRL."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from groundtune.errors import DataError
from groundtune.training.data import TrainingPair
from groundtune.training.encode import Tokens
from groundtune.types import Tuning

HELD_OUT = 0.15
"""Share of the rows on which the reward accuracy is measured; they are not trained on."""
ENOUGH = 20
"""Rows from which on some are held out."""


def hold_out(pairs: Sequence[TrainingPair], *, seed: int) -> tuple[list[TrainingPair], list[TrainingPair]]:
    """(pairs to train on, pairs to score epochs on), drawn by a hash of seed and group; none are held out of a few.

    Pairs of one group, which share evidence, stay on one side, but for the group at the border.
    """

    def key(pair: TrainingPair) -> tuple[bytes, str]:
        group = pair.example.group if pair.example is not None and pair.example.group else pair.id
        return hashlib.sha256(f"{seed}:{group}".encode()).digest(), pair.id

    held = round(HELD_OUT * len(pairs)) if len(pairs) >= ENOUGH else 0
    drawn = {pair.id for pair in sorted(pairs, key=key)[:held]}
    return [pair for pair in pairs if pair.id not in drawn], [pair for pair in pairs if pair.id in drawn]


def encode_rows(pairs: Sequence[TrainingPair], tokens: Tokens, tuning: Tuning) -> tuple[list[dict[str, Any]], list[str]]:
    """(rows of token ids as TRL's collators read them, ids of the pairs that are longer than `max_length`).

    Prompts are rendered as serving renders them, answers up to and including the end of turn; nothing is ever cut.
    """
    rows: list[dict[str, Any]] = []
    too_long: list[str] = []
    for number, pair in enumerate(pairs):
        prompt, answer = tokens.render_pair(pair.messages, pair.answer.strip())
        row: dict[str, Any] = {"id": pair.id, "prompt_ids": prompt}
        longest = len(answer)
        if tuning.objective == "dpo":
            rejected = tokens.render_pair(pair.messages, pair.rejected.strip())[1]
            row |= {"chosen_ids": answer, "rejected_ids": rejected}
            longest = max(longest, len(rejected))
        elif tuning.objective == "kto":
            row |= {"completion_ids": answer, "label": pair.liked}
        else:
            row |= {"prompt": str(number), "pair": number}
            longest = tuning.answer_tokens
        if len(prompt) + longest > tuning.max_length:
            too_long.append(pair.id)
        else:
            rows.append(row)
    if not rows:
        raise DataError(
            f"every one of the {len(pairs)} rows is longer than training.max_length = {tuning.max_length} tokens.",
            subject="training",
            remedy="Raise training.max_length, or shorten prompts and answers.",
        )
    if tuning.objective == "kto" and len({row["label"] for row in rows}) < 2:
        raise DataError(
            f"all {len(rows)} rows have the same label, so there is nothing to prefer.",
            subject="training",
            remedy="Add answers that were disliked as well as liked ones, or use sft on the liked ones.",
        )
    return rows, too_long


def split_rows(rows: list[dict[str, Any]], tuning: Tuning, *, seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(rows to train on in a drawn order, rows held out), by a hash of seed and id."""
    drawn = sorted(rows, key=lambda row: hashlib.sha256(f"{seed}:{row['id']}".encode()).digest())
    held = round(HELD_OUT * len(rows)) if tuning.objective in ("dpo", "kto") and len(rows) >= ENOUGH else 0
    return drawn[held:], drawn[:held]


def token_count(row: dict[str, Any]) -> int:
    return sum(len(ids) for name, ids in row.items() if name.endswith("_ids"))


def reward_accuracy(
    rows: Sequence[dict[str, Any]], before: Sequence[dict[str, float]], after: Sequence[dict[str, float]]
) -> dict[str, float]:
    """Share of held-out pairs whose better answer has the higher implicit reward, log p(tuned) - log p(before).

    Of dpo a pair is a row; of kto every liked answer with every disliked one. A longer answer has more terms, so the share is
    also given where the better answer is not the longer one, beside the share that "the longer one is better" would get.
    """
    gained = [{name: late[name] - early[name] for name in late} for early, late in zip(before, after, strict=True)]
    compared: list[tuple[float, int]] = []
    if rows and "chosen_ids" in rows[0]:
        for row, gain in zip(rows, gained, strict=True):
            longer = len(row["chosen_ids"]) - len(row["rejected_ids"])
            compared.append((gain["chosen_ids"] - gain["rejected_ids"], longer))
    else:
        rated = [(row, gain["completion_ids"]) for row, gain in zip(rows, gained, strict=True)]
        for good, more in (one for one in rated if one[0]["label"]):
            for bad, less in (one for one in rated if not one[0]["label"]):
                compared.append((more - less, len(good["completion_ids"]) - len(bad["completion_ids"])))
    fair = [difference for difference, longer in compared if longer <= 0]
    figures = {"held_out_pairs": float(len(compared)), "held_out_not_longer": float(len(fair))}
    if compared:
        figures["reward_accuracy"] = sum(difference > 0 for difference, _ in compared) / len(compared)
        figures["accuracy_of_length"] = sum(longer > 0 for _, longer in compared) / len(compared)
    if fair:
        figures["reward_accuracy_not_longer"] = sum(difference > 0 for difference in fair) / len(fair)
    return figures
