"""How a search keeps to the allowed audiences: chosen by count. Knows ids and numbers of rows; knows no backend.

An engine's filter with many ids costs more than the search itself: in LanceDB 0.40 a list of 10 ids costs about 3 ms and one of
10,000 about 75 ms, and a deep chain of alternatives overflows its stack. So a caller of few audiences is served by the filter,
a caller of many by ranking everything and leaving out what is not allowed, reading on until there is enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

FILTERED_RUNS = 200
"""Runs of neighbouring ids up to which the engine's filter is cheap."""

WIDE = 0.02
"""Share of the rows from which on leaving out costs less than a long filter: k / share rows are read instead of k."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the engine is asked to filter, and how much of what it ranks will be allowed."""

    rows: int
    """Rows that the caller may read."""
    share: float
    """Of all that the engine ranks, those that the caller may read."""
    runs: tuple[tuple[int, int], ...] | None
    """Ranges of audience ids, both ends included, that the engine filters by; None when it ranks everything."""


def choose(allowed: Set[int], census: Mapping[int, int]) -> Plan:
    """The plan for a caller of the audiences `allowed`; `census`: audience id -> rows that carry it.

    Ids without rows do not count, and a run may span ids that no row carries; so a row that came in meanwhile may lie in a run
    and not be allowed: what the engine returns is looked at again.
    """
    total = sum(census.values())
    rows = sum(census[id] for id in allowed & census.keys())
    if rows == total:
        return Plan(rows, 1.0, None)
    runs: list[list[int]] = []
    broken = True
    for id in sorted(census):
        if id not in allowed:
            broken = True
        elif broken:
            runs.append([id, id])
            broken = False
        else:
            runs[-1][1] = id
    if len(runs) > FILTERED_RUNS and rows >= WIDE * total:
        return Plan(rows, rows / total, None)
    return Plan(rows, 1.0, tuple((low, high) for low, high in runs))
