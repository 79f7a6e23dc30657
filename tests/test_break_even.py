"""groundtune.decision.break_even: hand-made costs with crossings that can be checked on paper."""

from __future__ import annotations

import pytest

from groundtune.config import Upkeep
from groundtune.decision.break_even import Running, break_even, planned_questions


def test_savings_per_answer_repay_a_training_after_so_many_questions() -> None:
    rag = Running("rag", setup=1.0, per_answer=0.003, per_refresh=1.0)
    tuned = Running("tuned", setup=6.0, per_answer=0.001, per_refresh=3.0)
    found = break_even(rag, tuned, planned=800, currency="USD")
    assert found.per_refresh == pytest.approx((3.0 - 1.0) / 0.002) and found.first_period == pytest.approx(5.0 / 0.002)
    assert found.cheaper_above == "tuned"
    assert "from 1,000 questions per refresh on" in found.words
    assert "with the set-up, from 2,500 on" in found.words
    assert found.words.endswith("With the 800 that you expect, rag is cheaper.")
    for questions, cheaper in ((900, "rag"), (1100, "tuned")):
        totals = {one.name: one.per_refresh + questions * one.per_answer for one in (rag, tuned)}
        assert min(totals, key=lambda name: totals[name]) == cheaper


def test_who_is_cheaper_in_both_parts_is_cheaper_at_any_number() -> None:
    rag = Running("rag", 0.0, 0.001, 0.0)
    tuned = Running("rag_tuned", 5.0, 0.002, 5.0)
    found = break_even(rag, tuned, planned=None, currency="EUR")
    assert (found.per_refresh, found.cheaper_above) == (None, "rag")
    assert "at any number" in found.words


def test_tuning_that_is_cheap_to_refresh_and_dear_to_ask_wins_below() -> None:
    rag = Running("rag", 9.0, 0.001, 9.0)
    tuned = Running("tuned", 1.0, 0.005, 1.0)
    found = break_even(rag, tuned, planned=None, currency="USD")
    assert found.per_refresh == pytest.approx(2000) and found.cheaper_above == "rag"


def test_questions_per_refresh_come_from_the_configuration() -> None:
    assert planned_questions(Upkeep(questions_per_day=200, refresh_hours=168)) == pytest.approx(1400)
    assert planned_questions(Upkeep(questions_per_day=200)) is None
