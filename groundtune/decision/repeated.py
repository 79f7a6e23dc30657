"""Deciding the same race again and again: contrasts computed once, and no garbage collected in between. Decides nothing."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from groundtune.evaluation.bounded import Array, Codes, score_test
from groundtune.evaluation.crossed import sample_of
from groundtune.evaluation.statistics import Contrast


def remembered(compare: Callable[..., Contrast]) -> Callable[..., Contrast]:
    """`contrast`, computed once a pair: of a comparison only the test of "worse by the margin" knows the margin."""
    known: dict[tuple[bytes, bytes, bytes], Contrast] = {}

    def again(first: Array, second: Array, groups: Codes, *, margin: float, level: float = 0.95, seed: int = 0) -> Contrast:
        key = first.tobytes(), second.tobytes(), groups.tobytes()
        if key not in known:
            known[key] = compare(first, second, groups, margin=margin, level=level, seed=seed)
        return replace(
            known[key],
            p_not_worse=score_test(sample_of(first - second, groups, low=-1.0, high=1.0), -margin),
            p_not_worse_reverse=score_test(sample_of(second - first, groups, low=-1.0, high=1.0), -margin),
        )

    return again


@contextmanager
def quick_collections() -> Iterator[None]:
    """statsmodels collects garbage at every adjustment: nearly 0.2 s in a process that has loaded torch."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
