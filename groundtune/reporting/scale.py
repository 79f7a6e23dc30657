"""Scales: values to shares of an axis, with round ticks. Knows numbers only."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)
_LOG_FROM = 10.0
"""Positive values that span this factor or more are laid out by their logarithm."""


@dataclass(frozen=True, slots=True)
class Scale:
    low: float
    high: float
    ticks: tuple[float, ...]
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Where a value lies, as a share of the axis, within 0 and 1."""
        low, high = (math.log(self.low), math.log(self.high)) if self.logarithmic else (self.low, self.high)
        if self.logarithmic:
            value = math.log(max(value, self.low))
        return min(1.0, max(0.0, (value - low) / (high - low)))

    def words(self, tick: float) -> str:
        """A tick as it is written."""
        return "0" if tick == 0 else f"{tick:,.10g}".replace("-", "−")


def linear(values: Iterable[float], *, steps: int = 5, least: float = 1e-9) -> Scale:
    """From a round number at or below all finite values to one at or above them, about `steps` apart."""
    found = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(found), max(found)
    if high - low < least:
        low, high = low - max(least, abs(low) / 2), high + max(least, abs(high) / 2)
    step = _round_up((high - low) / steps)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(round(number * step, 12) for number in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], ticks)


def positive(values: Iterable[float], *, steps: int = 5) -> Scale:
    """For amounts: from 0, or by the logarithm where the positive values span a factor of ten and none is zero."""
    found = [value for value in values if math.isfinite(value)]
    if not found or min(found) <= 0 or max(found) < _LOG_FROM * min(found):
        return linear([0.0, *found], steps=steps)
    low, high = 10.0 ** math.floor(math.log10(min(found))), 10.0 ** math.ceil(math.log10(max(found)))
    decades = round(math.log10(high / low))
    marks = (1.0, 2.0, 5.0) if decades <= 2 else (1.0,)
    every = max(1, math.ceil(decades / 6))
    ticks = [low * 10.0**decade * mark for decade in range(0, decades + 1, every) for mark in marks]
    kept = [tick for tick in ticks if tick <= high * (1 + 1e-9)]
    lowest = max((tick for tick in kept if tick <= min(found)), default=low)
    highest = min((tick for tick in kept if tick >= max(found)), default=high)
    kept = [tick for tick in kept if lowest <= tick <= highest]
    return Scale(lowest, highest, tuple(float(f"{tick:.3g}") for tick in kept), logarithmic=True)


def _round_up(step: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(mark * power for mark in _ROUND if mark * power >= step * (1 - 1e-9))
