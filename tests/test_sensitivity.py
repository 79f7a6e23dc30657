"""groundtune.decision.sensitivity: score tables of known truth, whose break points can be found by deciding anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from groundtune.decision.constraints import Limits, Measured, Staleness
from groundtune.decision.sensitivity import Change, Outcome, Sensitivity, sensitivity
from groundtune.decision.verdict import decide_verdict
from groundtune.types import Example, Score

COUNT = 400
EXAMPLES = [Example(f"q{n:03d}", f"question {n}?", (f"answer{n}",)) for n in range(COUNT)]


def row(share: float) -> list[float]:
    return [float(n % COUNT < round(share * COUNT)) for n in range(COUNT)]


def nearly(values: Sequence[float], *, flipped: Sequence[int]) -> list[float]:
    return [1 - value if n in flipped else value for n, value in enumerate(values)]


BEST = row(0.6)
ROWS = {"prompt": row(0.2), "rag": nearly(BEST, flipped=(0, 399)), "tuned": BEST}
MEASURED = {
    "prompt": Measured(0.2, 1.0, 1.0, None),
    "rag": Measured(1.0, 2.0, 1.5, Staleness(24, "synced daily"), cites=True),
    "tuned": Measured(0.5, 3.0, 2.5, Staleness(720, "trained monthly")),
}


def scored(rows: Mapping[str, Sequence[float]]) -> dict[str, list[Score]]:
    return {
        name: [Score(name, f"q{n:03d}", f"g{n}", "", 0, 0, "", {"f1": value}) for n, value in enumerate(values)]
        for name, values in rows.items()
    }


def search(
    rows: Mapping[str, Sequence[float]] = ROWS,
    *,
    measured: Mapping[str, Measured] = MEASURED,
    limits: Limits | None = None,
    margin: float = 0.05,
    prices: Mapping[str, Sequence[str]] | None = None,
) -> Sensitivity:
    return sensitivity(
        scored(rows),
        metric="f1",
        examples=EXAMPLES,
        measured={name: measured[name] for name in rows},
        limits=limits or Limits(),
        prices=prices or {},
        margin=margin,
        floor=0.1,
    )


def winner(margin: float, *, without: Sequence[str] = (), costs: Mapping[str, float] | None = None) -> Outcome:
    found = decide_verdict(
        scored({name: values for name, values in ROWS.items() if name not in without}),
        metric="f1",
        examples=EXAMPLES,
        costs=costs or {name: figures.cost_per_1000 or 0.0 for name, figures in MEASURED.items()},
        margin=margin,
        floor=0.1,
    ).verdict
    return Outcome(found.kind, found.winner, found.provisional)


@pytest.fixture(scope="module")
def found() -> Iterator[Sensitivity]:
    assert winner(0.05) == Outcome("cheapest non-inferior", "rag", None)
    yield search()


def of(found: Sensitivity, lever: str) -> list[Change]:
    return [change for change in found.changes if change.lever == lever]


def test_the_margin_breaks_where_deciding_anew_says_so(found: Sensitivity) -> None:
    (below,) = [change for change in of(found, "margin") if change.direction == "below"]
    assert winner(below.at) == below.outcome != winner(0.05)
    assert winner(below.at + 0.0006) == winner(0.05)
    (above,) = [change for change in of(found, "margin") if change.direction == "above"] or [None]
    assert above is None, "prompt is 40 points worse: no margin up to 25 makes it as good"


def test_a_price_breaks_where_two_costs_cross(found: Sensitivity) -> None:
    (dearer,) = of(found, "1,000 answers of rag")
    assert (dearer.direction, dearer.outcome.winner) == ("above", "tuned")
    assert dearer.at == pytest.approx(3.0)
    assert "If 1,000 answers of rag cost more than 3 USD (now 2), tuned would win" in dearer.words
    (cheaper,) = of(found, "1,000 answers of tuned")
    assert (cheaper.direction, cheaper.at) == ("below", pytest.approx(2.0))


def test_a_price_that_several_share_moves_them_together() -> None:
    found = search(prices={"the price of a core-hour": ("rag", "prompt"), "the price of everything": tuple(ROWS)})
    (change,) = of(found, "the price of a core-hour")
    assert change.at == pytest.approx(1.5) and change.outcome.winner == "tuned"
    assert not of(found, "the price of everything")


def test_a_limit_drops_a_candidate_below_its_figure(found: Sensitivity) -> None:
    (change,) = of(found, "decision.max_p95_seconds")
    assert (change.at, change.now, change.direction) == (1.0, None, "below")
    assert change.outcome == winner(0.05, without=["rag"])
    assert "limited to less than 1 s (none now)" in change.words


def test_a_limit_that_keeps_the_winner_out_is_named_with_what_lifts_it() -> None:
    found = search(limits=Limits(max_p95_seconds=0.7, max_memory_gb=4.0))
    (up,) = [change for change in of(found, "decision.max_p95_seconds") if change.direction == "above"]
    assert (up.at, up.outcome.winner) == (1.0, "rag")


def test_a_cost_limit_is_a_break_point_of_the_price() -> None:
    found = search(limits=Limits(max_cost_per_1000=2.5))
    (change,) = of(found, "1,000 answers of rag")
    assert change.at == pytest.approx(2.5)


def test_citations_and_staleness_are_levers_too(found: Sensitivity) -> None:
    found = search({"prompt": ROWS["prompt"], "tuned": BEST, "rag": row(0.3)})
    (cite,) = of(found, "decision.must_cite")
    assert (cite.at, cite.outcome.winner) == (1.0, "rag")
    (stale,) = of(found, "decision.max_staleness_hours")
    assert stale.at == 720


def test_what_changes_nothing_is_said_to_have_been_tried() -> None:
    only = search({"tuned": BEST, "prompt": ROWS["prompt"]}, measured=MEASURED | {"prompt": replace(MEASURED["tuned"])})
    assert not of(only, "decision.max_memory_gb") or of(only, "decision.max_memory_gb")[0].outcome.kind == "none good enough"
    assert any(lever.startswith("margin from 0.5 to 25") for lever in only.tried)


def test_renaming_and_reordering_change_no_break_point(found: Sensitivity) -> None:
    turned = search(dict(reversed(ROWS.items())))
    assert {(c.lever, c.at, c.direction) for c in turned.changes} == {(c.lever, c.at, c.direction) for c in found.changes}
    assert np.isfinite([change.at for change in found.changes]).all()
