"""Seconds an answer takes, one question at a time. Knows callables and clocks; never cached."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from groundtune.errors import DataError
from groundtune.evaluation.evaluate import blind
from groundtune.interfaces import Progress
from groundtune.types import Answer, Example, Latency


def measure_latency(
    respondents: Mapping[str, Callable[[Example], Answer]],
    examples: Sequence[Example],
    *,
    requests: int = 50,
    warm_up: int = 2,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Latency]:
    """Wall time at batch 1 of `requests` questions a respondent, in seconds.

    Every respondent gets the same questions, in order of id and again from the start when there are fewer than `requests`.
    They are interleaved, and who goes first changes with every question, so that a busy minute or a warm cache favours none.
    The first `warm_up` questions are asked untimed. Raises DataError without examples.
    """
    if not examples or requests < 1:
        raise DataError("there is no question to time.", subject=f"requests = {requests}", remedy="Give at least one of each.")
    asked = [blind(example) for example in sorted(examples, key=lambda example: example.id)]
    names = list(respondents)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-warm_up, requests):
        example = asked[number % len(asked)]
        first = number % len(names) if names else 0
        for name in names[first:] + names[:first]:
            started = clock()
            respondents[name](example)
            elapsed = clock() - started
            if number >= 0:
                seconds[name].append(elapsed)
        if progress is not None and number >= 0:
            progress("latency", number + 1, requests)
    return {name: _latency(values) for name, values in seconds.items()}


def _latency(seconds: Sequence[float]) -> Latency:
    p50, p95 = np.percentile(seconds, [50, 95])
    return Latency(p50=float(p50), p95=float(p95), mean=float(np.mean(seconds)), requests=len(seconds))
