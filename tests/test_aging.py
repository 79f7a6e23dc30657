"""groundtune.decision.aging and aged_race: what changed facts cost, by hand, in a race and in what would change its verdict."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from firm import CONFIG, write_firm

import groundtune
from groundtune.config import Upkeep
from groundtune.decision.aged_race import AgedRace
from groundtune.decision.aging import Memory, Staleness, aged, aging, as_it_was, horizon, loss_breach, still_right
from groundtune.decision.constraints import Limits, Measured, breaches, staleness
from groundtune.decision.sensitivity import Sensitivity, sensitivity
from groundtune.decision.verdict import decide_verdict
from groundtune.types import Candidate, Example, RetrievedContext, Score, Tuning

COUNT = 120
EXAMPLES = [Example(f"q{n:03d}", f"question {n}?", (f"answer{n}",) if n < 108 else ()) for n in range(COUNT)]
ANSWERABLE = {example.id for example in EXAMPLES if example.answers}
WEIGHTS, SYNCED = Staleness(720, "trained monthly"), Staleness(24, "synced daily")


def scored(name: str, right: int) -> list[Score]:
    """Right on the first so many answerable items, and on every unanswerable one."""
    return [
        Score(name, one.id, f"g{n}", "", 0, 0, "", {"f1": float(n < right or not one.answers)})
        for n, one in enumerate(EXAMPLES)
    ]


def test_a_fact_survives_month_after_month() -> None:
    assert as_it_was(0.1, 720) == pytest.approx(0.9)
    assert as_it_was(0.1, 2160) == pytest.approx(0.729)
    assert as_it_was(0.1, 0) == 1 and as_it_was(0.0, 1e6) == 1 and as_it_was(0.3, math.inf) == 0


def test_weights_beside_a_context_add_what_they_tell_against_it() -> None:
    both = replace(SYNCED, hours=0.0, weights_hours=1440.0)
    assert still_right(both, per_month=0.1, horizon=720, memory=Memory(20, 5)) == pytest.approx(1 - 0.25 * 0.19)
    assert still_right(both, per_month=0.1, horizon=720) == 1, "not measured: taken to follow the context"
    forever = replace(both, weights_hours=math.inf)
    assert still_right(forever, per_month=0.1, horizon=720, memory=Memory(20, 5)) == pytest.approx(0.75)
    assert still_right(forever, per_month=0.0, horizon=720, memory=Memory(20, 5)) == 1


def test_weights_that_nobody_said_are_trained_anew_count_as_changed_altogether() -> None:
    found = replace(SYNCED, weights_hours=math.inf)
    given: dict[str, Any] = {"metric": "f1", "answerable": ANSWERABLE, "per_month": 0.1, "horizon": 24.0}
    told = aging(scored("both", 72), found, memory=Memory(20, 5), **given)
    assert told.expected == pytest.approx((0.75 * as_it_was(0.1, 24) * 72 + 12) / 120) and "upkeep.refresh_hours" in told.words
    assert "was not measured" in aging(scored("both", 72), found, memory=None, **given).words


def test_what_nothing_renews_is_looked_at_when_the_longest_interval_ends() -> None:
    never, unsaid = Staleness(math.inf, "the model", "never"), Staleness(math.inf, "not said", "unsaid")
    assert horizon([SYNCED, WEIGHTS, never]) == 720 and horizon([never, unsaid]) is None
    assert still_right(never, per_month=0.1, horizon=720) == pytest.approx(0.9)
    assert still_right(never, per_month=0.1, horizon=None) is None
    assert still_right(unsaid, per_month=0.1, horizon=720) is None


def test_only_answers_about_the_documents_age() -> None:
    found = aging(scored("tuned", 72), WEIGHTS, metric="f1", answerable=ANSWERABLE, per_month=0.1, horizon=720, memory=None)
    assert found.score == pytest.approx(84 / 120)
    assert found.expected == pytest.approx((0.9 * 72 + 12) / 120)
    assert found.loss == pytest.approx(0.06) and "f1 0.700 becomes 0.640" in found.words


def test_recipes_say_what_renews_them() -> None:
    rag, tuning, upkeep = RetrievedContext(k=1), Tuning(), Upkeep(sync_hours=6, refresh_hours=720)

    def of(candidate: Candidate, said: Upkeep = upkeep) -> tuple[str, float, float | None]:
        found = staleness(candidate, said, has_documents=True)
        assert found is not None
        return found.renewal, found.hours, found.weights_hours

    assert of(Candidate("rag", "fake:echo", context=rag)) == ("interval", 6, None)
    assert of(Candidate("both", "fake:echo", context=rag, tuning=tuning)) == ("interval", 6, 720)
    assert of(Candidate("both", "fake:echo", context=rag, tuning=tuning), Upkeep(sync_hours=6)) == ("interval", 6, math.inf)
    assert of(Candidate("tuned", "fake:echo", tuning=tuning)) == ("interval", 720, None)
    assert of(Candidate("tuned", "fake:echo", tuning=tuning), Upkeep()) == ("unsaid", math.inf, None)
    assert of(Candidate("prompt", "fake:echo")) == ("never", math.inf, None)


def test_a_limit_on_the_loss_names_what_is_missing() -> None:
    limits = Limits(max_staleness_loss=0.05)
    found = aging(scored("tuned", 72), WEIGHTS, metric="f1", answerable=ANSWERABLE, per_month=0.1, horizon=720, memory=None)
    assert breaches(Measured(staleness=WEIGHTS, aging=found), limits) == [
        "changed facts cost it 0.060 before they are renewed, above 0.05"
    ]
    assert not breaches(Measured(staleness=WEIGHTS, aging=found), Limits(max_staleness_loss=0.06001))
    assert "upkeep.facts_changed_per_month" in breaches(Measured(staleness=WEIGHTS), limits)[0]
    assert not breaches(Measured(), limits), "a task without documents has no facts that age"
    unknown = replace(found, expected=None, words="what changed facts cost it is not known")
    assert loss_breach(unknown, 0.05) == ["what changed facts cost it is not known, and max_staleness_loss is set"]


RACE = {"tuned": scored("tuned", 96), "rag": scored("rag", 80)}
FIGURES = {
    "tuned": Measured(0.5, 1.0, None, WEIGHTS),
    "rag": Measured(0.5, 2.0, None, SYNCED),
}


def search(measured: dict[str, Measured], **limits: Any) -> Sensitivity:
    return sensitivity(
        RACE,
        metric="f1",
        examples=EXAMPLES,
        measured=measured,
        limits=Limits(**limits),
        prices={},
        margin=0.05,
        floor=0.1,
    )


def used_at(rate: float) -> str | None:
    worth = {"tuned": (1 - rate), "rag": (1 - rate) ** (24 / 720)}
    verdict = decide_verdict(
        {name: aged(rows, metric="f1", worth=worth[name], answerable=ANSWERABLE) for name, rows in RACE.items()},
        metric="f1",
        examples=EXAMPLES,
        costs={"tuned": 1.0, "rag": 2.0},
        margin=0.05,
        floor=0.1,
    ).verdict
    return verdict.winner or verdict.provisional


def test_the_rate_at_which_the_verdict_flips_is_where_deciding_anew_says_so() -> None:
    (change,) = [one for one in search(FIGURES).changes if one.lever == "upkeep.facts_changed_per_month"]
    assert used_at(0.0) == "tuned" and change.outcome.used != "tuned"
    assert change.at is not None and used_at(change.at) == change.outcome.used
    assert used_at(change.at * 0.9) == "tuned"
    assert (change.now, change.direction) == (None, "above") and "changing a month (not said)" in change.words


def test_nothing_is_said_of_the_rate_where_an_age_is_not_known() -> None:
    unsaid = FIGURES | {"rag": replace(FIGURES["rag"], staleness=Staleness(math.inf, "not said", "unsaid"))}
    found = search(unsaid)
    assert not [one for one in found.changes if one.lever.startswith("upkeep")]
    assert not any("facts_changed_per_month" in lever for lever in found.tried)
    assert any("facts_changed_per_month" in lever for lever in search(FIGURES).tried)
    assert not AgedRace({}, {}, "f1", []).applies


def test_a_race_reports_what_changed_facts_cost_and_measures_the_memory_of_weights(tmp_path: Path) -> None:
    upkeep = "max_staleness_loss = 0.03\n[upkeep]\nsync_hours = 24\nrefresh_hours = 720\nfacts_changed_per_month = 0.2\n"
    names = ["tuned", "rag_tuned"]
    decision = groundtune.decide(write_firm(tmp_path, config=CONFIG + upkeep), candidates=names)
    assert decision.report is not None
    tuned, both = (candidate["staleness"]["facts"] for candidate in decision.report["candidates"])
    rows = [json.loads(line) for line in (tmp_path / decision.report["scores"]).read_text(encoding="utf-8").splitlines()]
    answerable = [row["metrics"]["f1"] for row in rows if row["candidate"] == "tuned" and row["item"] != "none-1"]
    assert tuned["loss"] == pytest.approx(0.2 * sum(answerable) / 24)
    assert (tuned["hours"], both["hours"]) == (720, 24)
    assert tuned["memory"] is None and both["memory"]["known"] >= 10
    assert both["memory"]["stale"] > 0, "the fake model remembers what it learned, whatever it is shown"
    assert "above 0.03" in decision.report["candidates"][0]["excluded"]
    assert both["words"] in (tmp_path / "report.md").read_text(encoding="utf-8")
