"""groundtune.decision.constraints: limits against figures made by hand, and memory of a real process."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import groundtune
from groundtune.config import Upkeep
from groundtune.decision.constraints import Limits, Measured, Staleness, breaches, staleness
from groundtune.types import Candidate, NearestExamples, RetrievedContext, Tuning
from tests.firm import CONFIG, write_firm

FINE = Measured(0.5, 1.0, 2.0, Staleness(24, "its context is as fresh as the last sync, at most 24 h old"), cites=True)


def test_each_limit_is_broken_in_words_and_all_broken_ones_are_said() -> None:
    tight = Limits(0.4, 0.9, 1.0, 12, must_cite=True, currency="EUR")
    said = breaches(Measured(0.5, 1.0, 2.0, FINE.staleness, cites=False), tight)
    assert said == [
        "p95 latency 0.50 s is above 0.4 s",
        "1,000 answers cost 1.0000 EUR, above 0.9",
        "answering takes 2.00 GiB of memory, above 1.0",
        "its context is as fresh as the last sync, at most 24 h old, and facts may be at most 12 h old",
        "it cannot cite, and citations are required",
    ]


def test_a_figure_at_the_limit_keeps_it_and_what_was_not_measured_breaks_nothing() -> None:
    assert not breaches(FINE, Limits(0.5, 1.0, 2.0, 24, must_cite=True))
    assert not breaches(Measured(cites=True), Limits(0.1, 0.1, 0.1, 0.1, must_cite=True))


def test_facts_are_as_old_as_the_last_sync_or_the_last_training() -> None:
    upkeep = Upkeep(sync_hours=6, refresh_hours=720)
    rag, tuned = RetrievedContext(), Tuning()
    ages = {
        name: found.hours if (found := staleness(candidate, upkeep, has_documents=True)) else None
        for name, candidate in {
            "prompt": Candidate("prompt", "fake:echo"),
            "few_shot": Candidate("few_shot", "fake:echo", examples=NearestExamples()),
            "rag": Candidate("rag", "fake:echo", context=rag),
            "tuned": Candidate("tuned", "fake:echo", tuning=tuned),
            "rag_tuned": Candidate("rag_tuned", "fake:echo", context=rag, tuning=tuned),
        }.items()
    }
    assert ages == {"prompt": math.inf, "few_shot": math.inf, "rag": 6, "tuned": 720, "rag_tuned": 6}
    assert staleness(Candidate("rag", "fake:echo", context=rag), upkeep, has_documents=False) is None
    said = staleness(Candidate("tuned", "fake:echo", tuning=tuned), Upkeep(), has_documents=True)
    assert said is not None and said.hours == math.inf and "upkeep.refresh_hours" in said.why


def test_memory_and_staleness_take_candidates_out_of_a_race(tmp_path: Path) -> None:
    limits = "max_memory_gb = 0.001\nmax_staleness_hours = 48\n[upkeep]\nsync_hours = 24\n"
    decision = groundtune.decide(write_firm(tmp_path, config=CONFIG + limits), candidates=["prompt", "rag"])
    assert decision.report is not None
    prompt, rag = decision.report["candidates"]
    assert "GiB of memory, above 0.001" in rag["excluded"] and "h old" not in rag["excluded"]
    assert "which no sync renews, and facts may be at most 48 h old" in prompt["excluded"]
    assert 0.02 < rag["memory_gb"] < 4
    assert (rag["staleness"]["hours"], prompt["staleness"]["hours"]) == (24, None)
    assert decision.report["decision"]["verdict"] == "none good enough"


@pytest.mark.parametrize("count", [2, 10])
def test_from_the_second_look_on_the_report_and_the_command_line_warn(count: int) -> None:
    from groundtune.decision.ledger import warning

    assert warning(1) == ""
    assert f"look number {count}" in warning(count)
    assert f"up to {5 * count} %" in warning(count)
