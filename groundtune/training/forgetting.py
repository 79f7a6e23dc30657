"""What a tuned model forgot: the same general questions and paragraphs before and after. Knows no task and no training."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from groundtune.evaluation.statistics import exact_mcnemar
from groundtune.interfaces import LanguageModel
from groundtune.models.weights import torch_model
from groundtune.store.stages import digest
from groundtune.types import Message

_HOME = files("groundtune.training") / "general"
_MAX_NEW_TOKENS = 24
_BATCH = 8
_WITH_WEIGHTS = ("embedded", "hf")
"""Providers whose weights are on this machine, so that the likelihood of a text can be asked for."""


@dataclass(frozen=True, slots=True)
class Recall:
    """What one model makes of the probe."""

    right: Mapping[str, bool]
    """Question id -> whether the answer was right."""
    perplexity: float | None
    """Of the paragraphs, in tokens: exp of the mean negative log-likelihood. None for a model without weights here."""


@dataclass(frozen=True, slots=True)
class Forgetting:
    """The probe before and after tuning."""

    questions: int
    before: float
    """Share answered rightly by the untuned model."""
    after: float
    lost: int
    """Questions that only the untuned model answers rightly."""
    gained: int
    p_value: float
    """Two-sided, exact McNemar: of a difference at least as large if tuning had changed nothing."""
    kinds: Mapping[str, tuple[int, int, int]]
    """Kind of question -> (questions, right before, right after)."""
    perplexity_before: float | None
    perplexity_after: float | None

    @property
    def ratio(self) -> float | None:
        """Perplexity after by perplexity before."""
        if self.perplexity_before is None or self.perplexity_after is None:
            return None
        return self.perplexity_after / self.perplexity_before

    @property
    def words(self) -> str:
        """One or two sentences for people."""
        right, of = round(self.after * self.questions), self.questions
        said = (
            f"Of {of} general questions it answers {right} rightly; the untuned model answers {round(self.before * of)} "
            f"({self.lost} lost, {self.gained} gained, p = {self.p_value:.2g})."
        )
        if self.ratio is None:
            return said
        pair = f"{self.perplexity_before:.1f} before, {self.perplexity_after:.1f} after"
        return f"{said} Plain prose is {self.ratio:.2f} times as surprising to it as before (perplexity {pair})."


@cache
def general_questions() -> tuple[Mapping[str, Any], ...]:
    """The shipped questions: id, kind, prompt and one check. `is`: the answer is one of these; `holds`: it holds one of these
    as whole words; `pattern`: it matches from end to end."""
    return tuple(json.loads(line) for line in (_HOME / "questions.jsonl").read_text("utf-8").splitlines())


def general_paragraphs() -> tuple[str, ...]:
    return tuple((_HOME / "paragraphs.txt").read_text("utf-8").strip().split("\n\n"))


def probe_digest() -> str:
    """Changes whenever questions, paragraphs or the way of asking do."""
    return digest([general_questions(), general_paragraphs(), _MAX_NEW_TOKENS, _BATCH])


def recall(model: LanguageModel, *, name: str, weights: Path | None = None) -> Recall:
    """Ask the general questions of `model`, which serves `name` tuned by the folder `weights`, and read the paragraphs to it.

    Raises as `generate` and `torch_model` do.
    """
    questions = general_questions()
    right: dict[str, bool] = {}
    for start in range(0, len(questions), _BATCH):
        batch = questions[start : start + _BATCH]
        conversations = [[Message("user", one["prompt"])] for one in batch]
        found = model.generate(conversations, max_new_tokens=_MAX_NEW_TOKENS)
        right |= {one["id"]: is_right(one, answer.text) for one, answer in zip(batch, found, strict=True)}
    local = name.partition(":")[0] in _WITH_WEIGHTS
    return Recall(right, _perplexity(name, weights) if local else None)


def is_right(question: Mapping[str, Any], answer: str) -> bool:
    """Whether an answer passes the question's check; case, quotes and closing marks do not count for `is` and `holds`."""
    if "pattern" in question:
        return re.fullmatch(question["pattern"], answer.strip()) is not None
    told = _plain(answer)
    if "is" in question:
        return told in {_plain(one) for one in question["is"]}
    return any(re.search(rf"(?<!\w){re.escape(_plain(one))}(?!\w)", told) for one in question["holds"])


def compare(before: Recall, after: Recall) -> Forgetting:
    """The two models side by side, question by question."""
    questions = general_questions()
    first = np.array([before.right[one["id"]] for one in questions])
    second = np.array([after.right[one["id"]] for one in questions])
    kinds: dict[str, tuple[int, int, int]] = {}
    for kind in dict.fromkeys(one["kind"] for one in questions):
        of = np.array([one["kind"] == kind for one in questions])
        kinds[kind] = int(of.sum()), int(first[of].sum()), int(second[of].sum())
    return Forgetting(
        questions=len(questions),
        before=float(first.mean()),
        after=float(second.mean()),
        lost=int((first & ~second).sum()),
        gained=int((second & ~first).sum()),
        p_value=exact_mcnemar(first.astype(int), second.astype(int)),
        kinds=kinds,
        perplexity_before=before.perplexity,
        perplexity_after=after.perplexity,
    )


def _plain(text: str) -> str:
    return " ".join(text.casefold().strip("\"'“”‘’.!? \n").split())


def _perplexity(name: str, weights: Path | None) -> float:
    """Of the paragraphs as plain text: each token but a paragraph's first, given those before it."""
    network, tokens = torch_model(name, adapter=weights)
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.nn.Module.to(network, device=device)
    total, count = 0.0, 0
    with torch.inference_mode():
        for paragraph in general_paragraphs():
            ids = torch.tensor([tokens.encode(paragraph)[: network.config.max_position_embeddings]], device=device)
            logits = network(input_ids=ids, use_cache=False).logits[0, :-1].float()
            total += float(torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum"))
            count += ids.shape[1] - 1
    return math.exp(total / count)
