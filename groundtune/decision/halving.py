"""Successive halving: many settings on few items, the better ones on more. Knows scores, not what is set.

Source: Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", AISTATS 2016, with
thirds in place of halves and with every item measured for the last few.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

KEPT = 3
"""One in so many goes on, to as many times the items."""

FEWEST = 16
"""Items of the first rung, at least."""

Setting = tuple[str, ...]
"""The options that make a setting, one an axis."""

Measure = Callable[[Sequence[Setting], Sequence[str]], Sequence[Sequence[float]]]
"""(settings, items) -> for each setting one score in [0, 1] an item."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One round: what was measured on the first `items`, best first."""

    items: int
    settings: tuple[tuple[Setting, float], ...]
    """With the mean score."""


def rounds(settings: int, items: int) -> list[tuple[int, int]]:
    """(settings, items) of each rung; the last has every item."""
    many = [items]
    while KEPT ** len(many) < settings and many[0] >= FEWEST * KEPT:
        many.insert(0, -(-many[0] // KEPT))
    found = []
    for number in many:
        found.append((settings, number))
        settings = min(settings, max(2, -(-settings // KEPT)) + 1)
    return found


def halve(settings: Sequence[Setting], items: Sequence[str], *, measure: Measure) -> tuple[list[Rung], list[Setting]]:
    """The rungs, and the settings that reached the last one, best first; equal ones in the order given.

    The first of `settings` reaches the last rung whatever it scores, so that what is chosen is compared with it.
    """
    present, left = settings[0], list(settings)
    rungs: list[Rung] = []
    for _, many in rounds(len(settings), len(items)):
        means = {setting: sum(scores) / many for setting, scores in zip(left, measure(left, items[:many]), strict=True)}
        order = sorted(left, key=lambda setting: -means[setting])
        rungs.append(Rung(many, tuple((setting, means[setting]) for setting in order)))
        left = order[: max(2, -(-len(order) // KEPT))]
        left += [present] if present not in left else []
    return rungs, [setting for setting, _ in rungs[-1].settings]
