"""A language model as a judge. Knows the judge's prompts and how to read replies; the model is handed to it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from groundtune.errors import DataError, UsageError
from groundtune.evaluation.calibration import Calibration
from groundtune.evaluation.statistics import mean_interval
from groundtune.interfaces import Judge, LanguageModel
from groundtune.models import load_model
from groundtune.prompting.templates import load, render
from groundtune.scoring.judgement import BothOrders, both_orders, read_preference, read_rating
from groundtune.types import Interval, Judged, Message, Preference

SMALLEST = 1_000_000_000
"""A judge of this many parameters or fewer never gates."""

_RATE, _PREFER = "judge_rate", "judge_prefer"
_REPLY_TOKENS = 16
_SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)([bm])(?![a-z0-9])", re.IGNORECASE)
_KNOWN = {"embedded:smollm2": 135_000_000}


class ModelJudge:
    """Asks a model for `Rating: N` or `Better: A|B|tie` and reads nothing else."""

    def __init__(self, model: LanguageModel, *, parameters: int | None = None, scale: int = 5) -> None:
        """`parameters` of the model where its name does not say them; what the name says otherwise."""
        if not 2 <= scale <= 10:
            raise UsageError(f"a scale of 1 to {scale} cannot be rated on.", subject=model.name, remedy="Use 2 to 10.")
        self.name = model.name
        self.parameters = parameters if parameters is not None else size_in_name(model.name)
        self.scale = scale
        self._model = model
        parts = [model.fingerprint, load(_RATE).digest, load(_PREFER).digest, scale]
        self.fingerprint = hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def rate(self, answers: Sequence[Judged]) -> list[int | None]:
        prompts = [
            render(
                _RATE, question=one.question, answer=one.answer, reference=one.reference, sources=one.sources, scale=self.scale
            )
            for one in answers
        ]
        return [read_rating(reply, scale=self.scale) for reply in self._ask(prompts)]

    def prefer(self, first: Sequence[Judged], second: Sequence[Judged]) -> list[Preference | None]:
        prompts = []
        for one, other in zip(first, second, strict=True):
            if one.question != other.question:
                raise DataError("only answers to the same question can be compared.", subject=f"{one.item}, {other.item}")
            prompts.append(
                render(
                    _PREFER,
                    question=one.question,
                    first=one.answer,
                    second=other.answer,
                    reference=one.reference,
                    sources=one.sources,
                )
            )
        return [read_preference(reply) for reply in self._ask(prompts)]

    def _ask(self, prompts: Sequence[str]) -> list[str]:
        conversations = [(Message("user", prompt),) for prompt in prompts]
        return [reply.text for reply in self._model.generate(conversations, max_new_tokens=_REPLY_TOKENS)]


@dataclass(frozen=True, slots=True)
class JudgedSet:
    """Ratings of a set of answers; the judge's agreement with people is part of it."""

    ratings: tuple[int | None, ...]
    mean: float
    """Of the ratings that could be read, 0 for the lowest of the scale and 1 for the highest."""
    interval: Interval
    unread: int
    """Replies that were no rating."""
    calibration: Calibration


def load_judge(name: str, *, adapter: Path | None = None, parameters: int | None = None, scale: int = 5) -> ModelJudge:
    """The judge on the model `provider:name`. Raises as `load_model`."""
    return ModelJudge(load_model(name, adapter=adapter), parameters=parameters, scale=scale)


def size_in_name(name: str) -> int | None:
    """Parameters that a model's name states, such as `70B`, `1.5b` or `135M`, the smallest of several; None without any."""
    if name in _KNOWN:
        return _KNOWN[name]
    sizes = [float(number) * (1e9 if unit.lower() == "b" else 1e6) for number, unit in _SIZE.findall(name)]
    return int(min(sizes)) if sizes else None


def compare(judge: Judge, first: Sequence[Judged], second: Sequence[Judged]) -> list[BothOrders]:
    """Every pair in both orders."""
    return both_orders(judge.prefer(first, second), judge.prefer(second, first))


def judge_answers(judge: Judge, answers: Sequence[Judged], *, calibration: Calibration) -> JudgedSet:
    """Rate answers with a judge whose agreement with people was measured.

    Raises UsageError when the calibration is of another judge (model, prompts or scale), DataError when no reply was a rating.
    """
    if calibration.fingerprint != judge.fingerprint:
        raise UsageError("this calibration is of another judge.", subject=judge.name, remedy="Calibrate this one.")
    ratings = judge.rate(answers)
    read = [(one.item, (rating - 1) / (judge.scale - 1)) for one, rating in zip(answers, ratings, strict=True) if rating]
    if not read:
        raise DataError(
            "no reply of the judge was a rating.", subject=judge.name, remedy="Use a model that follows the format."
        )
    values = [value for _, value in read]
    interval = mean_interval(values, [item for item, _ in read])
    return JudgedSet(tuple(ratings), sum(values) / len(values), interval, len(ratings) - len(read), calibration)


def why_no_gate(judge: Judge, calibration: Calibration | None) -> str:
    """Why the judge may not decide a promotion, in words; empty when it may.

    Its size must be known and above 1B parameters, and its calibration must show agreement above chance and no bias.
    """
    if judge.parameters is None:
        return f"the size of {judge.name} is not known; a judge must have more than 1B parameters"
    if judge.parameters <= SMALLEST:
        return f"{judge.name} has {judge.parameters / 1e9:.2g}B parameters; a judge must have more than 1B"
    if calibration is None or calibration.fingerprint != judge.fingerprint:
        return f"the agreement of {judge.name} with people was not measured"
    if not calibration.above_chance:
        return f"{judge.name} is not shown to agree with people more than chance does"
    if calibration.biases:
        return f"{judge.name} has a {calibration.biases[0].name} bias: {calibration.biases[0].words}"
    return ""


def require_gate(judge: Judge, calibration: Calibration | None) -> None:
    """Raises UsageError, saying why, when the judge may not gate."""
    reason = why_no_gate(judge, calibration)
    if reason:
        raise UsageError(
            f"{reason}.", subject=judge.name, remedy="Gate on a deterministic metric, or calibrate a larger judge."
        )
