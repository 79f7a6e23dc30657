"""What a race will take, said before it starts, and what a budget leaves out. Measures this machine's pace; runs nothing."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from groundtune.config import Prices
from groundtune.decision.frugality import Frugality
from groundtune.errors import UsageError
from groundtune.interfaces import LanguageModel
from groundtune.store.artefacts import write_whole
from groundtune.training.data import TrainingPair
from groundtune.training.plan import estimate, measure_training
from groundtune.training.trainer import TrainingResult
from groundtune.types import Candidate, Message

_BUDGET = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(s|sec|m|min|h|hour|usd|eur|[a-z]{3})\s*$", re.IGNORECASE)
_SECONDS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "hour": 3600}
_WORDS = "the quick account of a plain working day in the office, told once more so that there is something to read "

_ANSWER_TOKENS = {True: 8, False: 30}
"""Tokens of a short answer, by whether the model was tuned on short answers."""

_LOAD_SECONDS = 12.0
"""To merge, write and compile tuned weights once; the report puts what was measured beside it."""


@dataclass(frozen=True, slots=True)
class Budget:
    amount: float
    unit: Literal["seconds", "money"]
    text: str


def parse_budget(text: str | None, *, currency: str) -> Budget | None:
    """`20m`, `1.5h`, `90s` or an amount in the price table's currency such as `5USD`. Raises UsageError."""
    if text is None:
        return None
    match = _BUDGET.match(text)
    unit = match.group(2).lower() if match else ""
    if match and unit in _SECONDS:
        return Budget(float(match.group(1)) * _SECONDS[unit], "seconds", text)
    if match and unit == currency.lower():
        return Budget(float(match.group(1)), "money", text)
    raise UsageError("not a budget.", subject=text, remedy=f"Write minutes or money, for example 20m, 1.5h or 5{currency}.")


@dataclass(frozen=True, slots=True)
class Pace:
    """What this machine does with one model."""

    prompt_tokens_per_second: float
    """Reading, in batches."""
    answer_tokens_per_second: float
    """Writing, in batches."""
    single_prompt_tokens_per_second: float
    single_answer_tokens_per_second: float
    """The same, one request at a time."""
    training_tokens_per_second: float | None = None
    training_memory_bytes: int | None = None
    """Peak of the process, or of the accelerator, in the training that gave the rate."""


def measure_pace(model: LanguageModel, *, batch_size: int, memory: Path) -> Pace:
    """A few seconds of real work: two prompt lengths, two answer lengths, in a batch and alone.

    Remembered in the file `memory` under the model's fingerprint, so that a second plan on this machine starts at once.
    """
    known = _remembered(memory)
    if model.fingerprint not in known:
        known[model.fingerprint] = measure(model, batch_size=batch_size)
        _remember(known, memory)
    return known[model.fingerprint]


def measure_training_pace(
    model: LanguageModel,
    candidate: Candidate,
    *,
    prompt_tokens: float,
    pace: Pace,
    memory: Path,
    pairs: Sequence[TrainingPair] = (),
) -> Pace:
    """The pace with what a training of this candidate does here: remembered, or measured over two real steps, on some of
    `pairs` where there are enough."""
    if pace.training_tokens_per_second is not None or candidate.tuning is None:
        return pace
    timed = measure_training(candidate.model, candidate.tuning, prompt_tokens=round(prompt_tokens), pairs=pairs)
    remember_training_pace(model, timed, memory=memory)
    return replace(
        pace, training_tokens_per_second=timed.tokens_per_second, training_memory_bytes=timed.peak_memory_bytes or None
    )


def remember_training_pace(model: LanguageModel, result: TrainingResult, *, memory: Path) -> None:
    """Keep what a training really did, so that the next plan is nearer the truth; one that took no time says nothing."""
    known = _remembered(memory)
    if model.fingerprint in known and result.seconds:
        known[model.fingerprint] = replace(
            known[model.fingerprint],
            training_tokens_per_second=result.tokens_per_second,
            training_memory_bytes=result.peak_memory_bytes or None,
        )
        _remember(known, memory)


def _remembered(memory: Path) -> dict[str, Pace]:
    """Paces by fingerprint; none where the file is absent or damaged: they are measured anew."""
    try:
        return {key: Pace(**row) for key, row in json.loads(memory.read_text(encoding="utf-8")).items()}
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return {}


def _remember(known: Mapping[str, Pace], memory: Path) -> None:
    rows = {key: asdict(pace) for key, pace in known.items()}
    write_whole(memory, (json.dumps(rows, indent=1) + "\n").encode())


def measure(model: LanguageModel, *, batch_size: int) -> Pace:
    """Some seconds of real work of a loaded model; training is not timed."""
    short, long = (Message("user", _WORDS * 2),), (Message("user", _WORDS * 20),)
    model.generate([short], max_new_tokens=2)

    def pace(size: int) -> tuple[float, float]:
        started = time.perf_counter()
        read = model.generate([long] * size, max_new_tokens=1)
        reading = time.perf_counter() - started
        prompt_rate = sum(one.usage.input_tokens for one in read) / max(reading, 1e-6)
        started = time.perf_counter()
        written = model.generate([short] * size, max_new_tokens=24)
        spent = time.perf_counter() - started - sum(one.usage.input_tokens for one in written) / prompt_rate
        return prompt_rate, sum(one.usage.output_tokens for one in written) / max(spent, 1e-3)

    single, batch = pace(1), pace(batch_size)
    return Pace(batch[0], batch[1], single[0], single[1])


@dataclass(frozen=True, slots=True)
class Load:
    """What one candidate asks for: counted, not guessed, from rendered prompts."""

    candidate: Candidate
    items: int
    prompt_tokens: float
    """Mean of a prompt."""
    trainings: int = 0
    pairs: int = 0
    """Training pairs of one training."""
    text_tokens: int = 0
    """domain: tokens of the documents that are learned, in place of prompts and answers."""


@dataclass(frozen=True, slots=True)
class PlannedStage:
    name: Literal["sweep", "search", "train", "answer", "latency", "probe"]
    candidate: str
    seconds: float
    money: float


@dataclass(frozen=True, slots=True)
class LeftOut:
    candidate: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Planned work, with what was left out of it and what the data allow to be seen."""

    stages: tuple[PlannedStage, ...]
    left_out: tuple[LeftOut, ...]
    currency: str
    budget: str | None
    items: int
    groups: int
    smallest_p: float
    """The smallest two-sided p-value that these groups can reach."""
    mde: float
    """Smallest difference of the primary metric that the race would find with 80 % power."""
    scheme: str
    notes: tuple[str, ...] = ()
    frugality: Frugality | None = None
    """How the race is run; its stages are then the most that it may take."""

    @property
    def seconds(self) -> float:
        return sum(stage.seconds for stage in self.stages)

    @property
    def money(self) -> float:
        return sum(stage.money for stage in self.stages)

    @property
    def candidates(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(stage.candidate for stage in self.stages if stage.name == "answer"))


def stages_of(
    load: Load, *, pace: Pace, prices: Prices, local: bool, latency_requests: int, probe_items: int = 0
) -> tuple[PlannedStage, ...]:
    """The planned stages of one candidate. `probe_items` adds the gold-evidence probe of its model."""
    candidate = load.candidate
    tuned = candidate.tuning is not None
    written = min(_ANSWER_TOKENS[tuned], candidate.max_new_tokens)
    stages: list[PlannedStage] = []

    def add(name: Literal["train", "answer", "latency", "probe"], seconds: float, answers: int) -> None:
        tokens = (answers * load.prompt_tokens, float(answers * written))
        stages.append(PlannedStage(name, candidate.name, seconds, price_of(seconds, tokens, candidate.model, prices, local)))

    def answering(items: int) -> float:
        return items * (load.prompt_tokens / pace.prompt_tokens_per_second + written / pace.answer_tokens_per_second)

    if candidate.tuning is not None:
        rate = pace.training_tokens_per_second or pace.prompt_tokens_per_second
        pair_tokens = load.text_tokens or round(load.pairs * (load.prompt_tokens + _ANSWER_TOKENS[True]))
        one = 60 * estimate(pair_tokens, candidate.tuning, tokens_per_second=rate) + _LOAD_SECONDS
        add("train", load.trainings * one, 0)
    add("answer", answering(load.items), load.items)
    single = load.prompt_tokens / pace.single_prompt_tokens_per_second + written / pace.single_answer_tokens_per_second
    add("latency", latency_requests * single, latency_requests)
    if probe_items:
        add("probe", answering(probe_items), probe_items)
    return tuple(stages)


def external_stages(
    candidate: Candidate, *, items: int, seconds: float, latency_requests: int, concurrency: int
) -> tuple[PlannedStage, ...]:
    """The planned stages of something that already runs, from the seconds that one answer took."""
    price = (candidate.external.price_per_1000 or 0.0) / 1000 if candidate.external else 0.0
    return (
        PlannedStage("answer", candidate.name, items * seconds / concurrency, items * price),
        PlannedStage("latency", candidate.name, latency_requests * seconds, latency_requests * price),
    )


def price_of(seconds: float, tokens: tuple[float, float], model: str, prices: Prices, local: bool) -> float:
    """Money for `seconds` of this machine (every core counts), or for (input, output) tokens of a hosted model."""
    if local:
        return seconds / 3600 * (os.cpu_count() or 1) * prices.core_hour
    price = prices.models.get(model)
    if price is None:
        return 0.0
    return (tokens[0] * price.input_per_million + tokens[1] * price.output_per_million) / 1e6


def choose(
    per_candidate: Mapping[str, Sequence[PlannedStage]], budget: Budget | None, *, last: Sequence[str] = ()
) -> tuple[list[PlannedStage], list[LeftOut]]:
    """The cheapest first, those in `last` after all others, as long as they fit.

    Each one that does not fit is named with what it would have taken.
    """
    chosen: list[PlannedStage] = []
    left_out: list[LeftOut] = []

    def size(stages: Sequence[PlannedStage]) -> float:
        return sum(stage.money if budget and budget.unit == "money" else stage.seconds for stage in stages)

    for name, stages in sorted(per_candidate.items(), key=lambda entry: (entry[0] in last, size(entry[1]), entry[0])):
        if budget is None or size(chosen) + size(stages) <= budget.amount:
            chosen.extend(stages)
        else:
            wanted = f"{size(stages) / 60:.1f} min" if budget.unit == "seconds" else f"{size(stages):.4f}"
            free = budget.amount - size(chosen)
            rest = f"{free / 60:.1f} min" if budget.unit == "seconds" else f"{free:.4f}"
            left_out.append(LeftOut(name, f"needs {wanted}, and {rest} of the budget {budget.text} are left"))
    return chosen, left_out


def as_json(plan: Plan) -> dict[str, object]:
    """For report.json and `--json`."""
    return {**asdict(plan), "minutes": plan.seconds / 60, "money": plan.money}
