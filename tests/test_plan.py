"""groundtune.decision.plan and costs: what a race will take, what a budget leaves out, and what answers cost."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from groundtune.config import Prices
from groundtune.decision.costs import cost_of
from groundtune.decision.plan import (
    Load,
    Pace,
    PlannedStage,
    choose,
    measure_pace,
    parse_budget,
    price_of,
    remember_training_pace,
    stages_of,
)
from groundtune.errors import UsageError
from groundtune.models import load_model
from groundtune.training.trainer import TrainingResult
from groundtune.types import Candidate, Latency, RetrievedContext, Tuning, Usage

PACE = Pace(1000.0, 100.0, 500.0, 50.0, training_tokens_per_second=300.0)
PRICES = Prices.model_validate({"models": {"openai:big": {"input_per_million": 2.0, "output_per_million": 10.0}}})


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("20m", 1200, "seconds"),
        ("1.5h", 5400, "seconds"),
        ("90 s", 90, "seconds"),
        ("5USD", 5, "money"),
        ("0.5 usd", 0.5, "money"),
    ],
)
def test_a_budget_is_time_or_money(text: str, amount: float, unit: str) -> None:
    budget = parse_budget(text, currency="USD")
    assert budget is not None
    assert (budget.amount, budget.unit) == (amount, unit)


@pytest.mark.parametrize("text", ["", "m20", "20", "5EUR", "-3m", "soon"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="20m"):
        parse_budget(text, currency="USD")


def test_no_budget_leaves_nothing_out() -> None:
    assert parse_budget(None, currency="USD") is None
    stages, left_out = choose({"a": [PlannedStage("answer", "a", 1e9, 1e9)]}, None)
    assert [stage.candidate for stage in stages] == ["a"]
    assert left_out == []


def test_a_budget_takes_the_cheapest_that_fit_and_names_the_others() -> None:
    work = {
        "dear": [PlannedStage("train", "dear", 500, 1), PlannedStage("answer", "dear", 100, 1)],
        "cheap": [PlannedStage("answer", "cheap", 60, 1)],
        "middling": [PlannedStage("answer", "middling", 120, 1)],
    }
    stages, left_out = choose(work, parse_budget("4m", currency="USD"))
    assert [stage.candidate for stage in stages] == ["cheap", "middling"]
    assert [(left.candidate, left.reason) for left in left_out] == [
        ("dear", "needs 10.0 min, and 1.0 min of the budget 4m are left")
    ]


def test_stages_follow_from_counted_tokens_and_measured_pace() -> None:
    tuned = Candidate("rag_tuned", "fake:extract", context=RetrievedContext(), tuning=Tuning(epochs=2))
    stages = stages_of(
        Load(tuned, items=100, prompt_tokens=500, trainings=3, pairs=60),
        pace=PACE,
        prices=PRICES,
        local=True,
        latency_requests=50,
    )
    by_name = {stage.name: stage.seconds for stage in stages}
    assert by_name["answer"] == pytest.approx(100 * (500 / 1000 + 8 / 100))
    assert by_name["latency"] == pytest.approx(50 * (500 / 500 + 8 / 50))
    assert by_name["train"] == pytest.approx(3 * (60 * 508 * 2 / 300 + 12))


def test_local_time_costs_core_hours_and_hosted_answers_cost_tokens() -> None:
    assert price_of(3600, (0, 0), "fake:x", PRICES, local=True) == pytest.approx((os.cpu_count() or 1) * 0.04)
    assert price_of(3600, (1e6, 1e5), "openai:big", PRICES, local=False) == pytest.approx(2 + 1)
    latency = Latency(p50=1.0, p95=2.0, mean=1.5, requests=50)
    local = cost_of(
        Candidate("rag", "fake:x"), local=True, latency=latency, tokens=Usage(10, 10), training_seconds=[60, 120], prices=PRICES
    )
    assert local.per_1000_answers == pytest.approx(1500 / 3600 * (os.cpu_count() or 1) * 0.04)
    assert local.setup == pytest.approx(90 / 3600 * (os.cpu_count() or 1) * 0.04)
    hosted = cost_of(
        Candidate("rag", "openai:big"), local=False, latency=latency, tokens=Usage(500, 20), training_seconds=[], prices=PRICES
    )
    assert hosted.per_1000_answers == pytest.approx((500 * 2 + 20 * 10) / 1e6 * 1000)
    unknown = cost_of(
        Candidate("rag", "openai:new"), local=False, latency=latency, tokens=Usage(500, 20), training_seconds=[], prices=PRICES
    )
    assert unknown.per_1000_answers == 0
    assert "no price for openai:new" in unknown.basis


def test_the_pace_of_a_model_is_measured_once_and_remembered(tmp_path: Path) -> None:
    model, memory = load_model("fake:extract"), tmp_path / "pace.json"
    first = measure_pace(model, batch_size=4, memory=memory)
    assert measure_pace(model, batch_size=4, memory=memory) == first
    done = TrainingResult(tmp_path, "", 1, 2.0, 642, 1.0, 0.5, 2**30, 1)
    remember_training_pace(model, done, memory=memory)
    known = measure_pace(model, batch_size=4, memory=memory)
    assert (known.training_tokens_per_second, known.training_memory_bytes) == (321.0, 2**30)
    remember_training_pace(model, replace(done, seconds=0.0), memory=memory)  # found again, not trained
    assert measure_pace(model, batch_size=4, memory=memory) == known
