"""Judges without weights, with biases planted in them, to test what a calibration finds. They read the prompts of real judges.

`fake-judge:fair` compares words with the reference answer. `position` prefers what is shown first, `length` what is longer,
`yes` gives every answer the highest rating and calls every pair a tie, `chatty` never answers in the form asked for.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from groundtune.errors import NotFound, UsageError
from groundtune.models.fake import TOKEN
from groundtune.types import Generation, Message, Usage

KINDS = ("chatty", "fair", "length", "position", "yes")

_PART = re.compile(
    r"^(Reference answer|Answer A|Answer B|Answer): (.*?)"
    r"(?=\n\n(?:Reference answer|Answer(?: [AB])?): |\n\nReply with one line)",
    re.MULTILINE | re.DOTALL,
)
_SCALE = re.compile(r"from 1 to (\d+)")
_WORDS_OF_BEST = 120
"""Words from which `length` gives the highest rating."""


class FakeJudgeModel:
    """See the file's docstring for what it says."""

    local = True

    def __init__(self, name: str, *, adapter: Path | None = None) -> None:
        """Raises NotFound for an unknown kind, UsageError for an adapter."""
        if name not in KINDS:
            raise NotFound(
                "there is no such fake judge.", subject=f"fake-judge:{name}", remedy=f"Use one of {', '.join(KINDS)}."
            )
        if adapter is not None:
            raise UsageError("a fake judge cannot be tuned.", subject=f"fake-judge:{name}")
        self._kind = name
        self.name = f"fake-judge:{name}"
        self.fingerprint = hashlib.sha256(f"1 {name}".encode()).hexdigest()

    def generate(self, conversations: Sequence[Sequence[Message]], *, max_new_tokens: int) -> list[Generation]:
        if max_new_tokens < 1:
            raise UsageError(f"max_new_tokens is {max_new_tokens}; an answer needs at least one token.", subject=self.name)
        return [self._generation(conversation, max_new_tokens) for conversation in conversations]

    def count_tokens(self, text: str) -> int:
        """Words and punctuation marks."""
        return len(TOKEN.findall(text))

    def _generation(self, conversation: Sequence[Message], max_new_tokens: int) -> Generation:
        prompt = conversation[-1].content if conversation else ""
        text = self._reply(prompt)
        ends = [found.end() for found in TOKEN.finditer(text)][:max_new_tokens]
        return Generation(text[: ends[-1]] if ends else text, Usage(self.count_tokens(prompt), len(ends)))

    def _reply(self, prompt: str) -> str:
        parts = dict(_PART.findall(prompt))
        if self._kind == "chatty":
            return "Both have their merits, but I would say A or 4."
        if "Answer A" in parts:
            return f"Better: {self._better(parts)}"
        found = _SCALE.search(prompt)
        return f"Rating: {self._rating(parts, int(found[1]) if found else 5)}"

    def _better(self, parts: dict[str, str]) -> str:
        if self._kind == "position":
            return "A"
        if self._kind == "yes":
            return "tie"
        measure = self._words if self._kind == "length" else _overlap
        first, second = (measure(parts.get("Reference answer", ""), parts.get(f"Answer {side}", "")) for side in "AB")
        return "tie" if first == second else "A" if first > second else "B"

    def _rating(self, parts: dict[str, str], scale: int) -> int:
        if self._kind == "yes":
            return scale
        answer = parts.get("Answer", "")
        merit = min(1.0, self._words("", answer) / _WORDS_OF_BEST)
        if self._kind != "length":
            merit = _overlap(parts.get("Reference answer", ""), answer)
        return 1 + round(merit * (scale - 1))

    def _words(self, _reference: str, answer: str) -> float:
        return float(len(answer.split()))


def _overlap(reference: str, answer: str) -> float:
    """Dice similarity of the sets of words."""
    first, second = (set(map(str.lower, TOKEN.findall(text))) for text in (reference, answer))
    return 2 * len(first & second) / max(1, len(first) + len(second))
