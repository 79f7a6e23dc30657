"""From how many questions per refresh on tuning is cheaper than retrieval, or the other way round. Pure; knows no quality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from groundtune.config import Prices, Upkeep
from groundtune.decision.costs import cores
from groundtune.types import CandidateReport


@dataclass(frozen=True, slots=True)
class Running:
    """What one candidate costs over time, in one currency."""

    name: str
    setup: float
    """Once: the first training, the first indexing, or both."""
    per_answer: float
    per_refresh: float
    """To take in changed facts: a training, an indexing, or both."""


@dataclass(frozen=True, slots=True)
class BreakEven:
    """Questions per refresh at which two candidates cost the same; quality is the verdict's matter, not this one's."""

    retrieval: str
    tuned: str
    first_period: float | None
    """Questions until the first refresh, set-up included; None when one of the two is cheaper at any number."""
    per_refresh: float | None
    """The same for every later period."""
    cheaper_above: str
    """Who is cheaper with more questions than that; with None, who is cheaper at any number."""
    words: str


def running(reports: Mapping[str, CandidateReport], *, indexing_seconds: float, prices: Prices) -> dict[str, Running]:
    """What every candidate that ran costs over time.

    A refresh trains tuned weights again and indexes all documents again: the most that a refresh can take, since unchanged
    documents are not read twice. `indexing_seconds` is what parsing and embedding took here.
    """
    indexing = indexing_seconds * cores() * prices.core_hour / 3600
    found = {}
    for name, report in reports.items():
        if report.cost is None or not report.cost.known:  # without a price there is nothing to compare
            continue
        refresh = report.cost.setup + (indexing if report.candidate.context is not None else 0.0)
        found[name] = Running(name, refresh, report.cost.per_1000_answers / 1000, refresh)
    return found


def break_evens(
    reports: Mapping[str, CandidateReport], costs: Mapping[str, Running], *, upkeep: Upkeep, currency: str
) -> tuple[BreakEven, ...]:
    """Every untuned candidate with retrieval against every tuned one."""
    recipes = {name: reports[name].candidate for name in costs}
    retrieving = [name for name, recipe in recipes.items() if recipe.context is not None and recipe.tuning is None]
    tuned = [name for name, recipe in recipes.items() if recipe.tuning is not None]
    return tuple(
        break_even(costs[one], costs[other], planned=planned_questions(upkeep), currency=currency)
        for one in retrieving
        for other in tuned
    )


def planned_questions(upkeep: Upkeep) -> float | None:
    """Questions per refresh that the operator expects; None when the configuration does not say."""
    if upkeep.questions_per_day is None or upkeep.refresh_hours is None:
        return None
    return upkeep.questions_per_day * upkeep.refresh_hours / 24


def break_even(retrieval: Running, tuned: Running, *, planned: float | None, currency: str) -> BreakEven:
    """Where `setup or refresh + questions x per answer` of the two are equal."""
    saved = retrieval.per_answer - tuned.per_answer
    first = _crossing(tuned.setup - retrieval.setup, saved)
    later = _crossing(tuned.per_refresh - retrieval.per_refresh, saved)
    if saved:
        above = tuned.name if saved > 0 else retrieval.name
    else:
        above = tuned.name if tuned.per_refresh < retrieval.per_refresh else retrieval.name
    below = retrieval.name if above == tuned.name else tuned.name
    extra = tuned.per_refresh - retrieval.per_refresh
    basis = (
        f"an answer of {tuned.name} costs {abs(saved):.3g} {currency} {'less' if saved > 0 else 'more'} than one of "
        f"{retrieval.name}, a refresh {abs(extra):.3g} {currency} {'more' if extra > 0 else 'less'}"
    )
    if later is None:
        words = f"{above} is cheaper than {below} at any number of questions: {basis}."
    else:
        words = f"{above} is cheaper than {below} from {_count(later)} questions per refresh on: {basis}."
        if first is not None and abs(first - later) > 0.01 * later:
            words += f" Until the first refresh, with the set-up, from {_count(first)} on."
        if planned is not None:
            words += f" With the {_count(planned)} that you expect, {above if planned > later else below} is cheaper."
    return BreakEven(retrieval.name, tuned.name, first, later, above, words)


def _crossing(dearer: float, saved: float) -> float | None:
    """Questions whose savings repay what is dearer at the start; None when the two differences point the same way."""
    return dearer / saved if saved and dearer / saved > 0 else None


def _count(questions: float) -> str:
    return f"{questions:,.0f}" if questions >= 10 else f"{questions:.1f}"
