"""groundtune.decision.advise: textbook situations, sizes against another formula, and the command on pipe and terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import pytest
from scipy.stats import nct, norm, t

import groundtune
from groundtune.cli import advise as command
from groundtune.cli.main import run
from groundtune.decision.advice_rules import RULES, SOURCES
from groundtune.decision.advise import FactsChange, Situation, advise, questions_for
from groundtune.errors import UsageError

HELPDESK = Situation(
    documents=True, facts_change="daily", rare_facts=True, labelled=40, strictness="free", citations=True, hardware="gpu"
)
ROUTING = Situation(documents=False, facts_change="never", labelled=3000, strictness="strict", latency=0.2, hardware="cpu")


def raced(situation: Situation) -> list[str]:
    return [one.name for one in advise(situation).candidates if one.race]


def test_changing_private_facts_with_citations_point_to_retrieval() -> None:
    found = advise(HELPDESK)
    assert raced(HELPDESK)[0] == "rag" and set(raced(HELPDESK)) == {"rag", "rag_tuned"}
    assert found.position.external_data > 0.8 > 0.5 > found.position.behaviour
    assert found.position.words.startswith("retrieval first")


def test_a_fixed_label_set_with_thousands_of_examples_points_to_tuning() -> None:
    assert raced(ROUTING)[0] == "tuned" and "rag" not in raced(ROUTING)
    assert advise(ROUTING).position.words.startswith("tuning first")


def test_specialised_language_over_documents_points_to_both() -> None:
    both = Situation(
        documents=True, labelled=800, strictness="strict", language="specialised", several_sources=True, private=True
    )
    assert raced(both)[0] == "rag_tuned"


def test_without_labels_or_weights_nothing_is_tuned() -> None:
    assert not {"tuned", "rag_tuned", "few_shot"} & set(raced(Situation(documents=True, labelled=0)))
    assert not {"tuned", "rag_tuned"} & set(raced(Situation(documents=True, labelled=500, hardware="none")))


def test_nothing_said_moves_nothing_and_leaves_the_whole_matrix_open() -> None:
    found = advise(Situation())
    place = found.position
    assert (place.external_data, place.behaviour) == (0.5, 0.5)
    assert (place.external_data_low, place.external_data_high) == (0.0, 1.0)
    assert (place.behaviour_low, place.behaviour_high) == (0.0, 1.0)
    assert len(raced(Situation())) == 5 and not found.because and len(found.unanswered) == 12


def test_every_answer_narrows_the_position() -> None:
    before, after = advise(Situation(documents=True)).position, advise(Situation(documents=True, facts_change="daily")).position
    assert after.external_data_high - after.external_data_low < before.external_data_high - before.external_data_low


def test_it_calls_itself_a_prior() -> None:
    assert advise(HELPDESK).prior.startswith("This is a prior") and "no verdict" in advise(HELPDESK).prior


@pytest.mark.parametrize("effect", [0.2, 0.1, 0.05])
@pytest.mark.parametrize("comparisons", [1, 10])
def test_questions_to_collect_agree_with_the_noncentral_t(effect: float, comparisons: int) -> None:
    wanted = questions_for(effect, comparisons=comparisons)

    def chance(n: int) -> float:
        edge = t.isf(0.025 / comparisons, n - 1)
        return float(nct.sf(edge, n - 1, effect / 0.45 * n**0.5))

    assert chance(wanted) >= 0.8 > chance(wanted - 1) - 1e-6
    rough = ((norm.isf(0.025 / comparisons) + norm.isf(0.2)) * 0.45 / effect) ** 2
    assert rough <= wanted <= rough + 12


def test_costs_are_the_arithmetic_of_the_stated_assumptions() -> None:
    situation = Situation(documents=True, labelled=200, questions_per_day=100, facts_change="weekly")
    found = {one.name: one for one in advise(situation).candidates}
    second = 2 * 0.04 / 3600
    assert found["rag"].per_1000_answers == pytest.approx(1000 * second * (680 / 1576 + 30 / 92))
    assert found["tuned"].setup == pytest.approx(second * 200 * 92 * 3 / 375)
    assert (found["rag"].per_refresh, found["rag_tuned"].per_refresh) == (0.0, 0.0)
    month = 365 / 12 * 100 * found["tuned"].per_1000_answers / 1000 + 52 / 12 * found["tuned"].setup
    assert found["tuned"].per_month == pytest.approx(month)


def test_every_rule_names_sources_that_exist_and_no_answer_has_two_rules() -> None:
    assert all(rule.sources and set(rule.sources) <= set(SOURCES) for rule in RULES)
    keys = [(rule.question, rule.answer) for rule in RULES]
    assert len(keys) == len(set(keys))
    assert {name for rule in RULES for name in rule.sources} == set(SOURCES)
    assert all(-2 <= step <= 2 for rule in RULES for step in (rule.external_data, rule.behaviour))


@pytest.mark.parametrize("change", ["never", "yearly", "monthly", "weekly", "daily", "hourly"])
def test_the_faster_facts_change_the_more_external_data(change: FactsChange) -> None:
    order = ["never", "yearly", "monthly", "weekly", "daily", "hourly"]
    places = {one: advise(Situation(facts_change=one)).position.external_data for one in order}  # type: ignore[arg-type]
    assert places[change] == sorted(places.values())[order.index(change)]


def test_negative_numbers_are_refused() -> None:
    with pytest.raises(UsageError, match="labelled"):
        advise(Situation(labelled=-1))


def test_scripts_get_json_without_being_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["advise", "--json", "--documents", "--facts-change", "daily", "--labelled", "100", "--citations"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["prior"].startswith("This is a prior")
    assert {one["name"] for one in found["candidates"] if one["race"]} == {"rag", "rag_tuned"}
    assert found["unanswered"] and found["collect"][0]["effect"] == 0.2


def test_text_without_a_terminal_asks_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["advise", "--no-documents", "--labelled", "3000", "--strictness", "strict"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("This is a prior") and "rag: rules it out" in text and "arXiv:2305.11206" in text


def test_a_terminal_is_asked_what_no_option_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    replies: Sequence[str] = ["da", "y", "many", "120", *[""] * 8]
    given, asked = iter(replies), list[str]()

    def prompt(text: str, **options: object) -> str:
        asked.append(text)
        return next(given)

    monkeypatch.setattr(sys, "stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr(command.typer, "prompt", prompt)
    assert run(["advise", "--documents"]) == 0
    printed = capsys.readouterr()
    assert asked[0].startswith("How often do the facts change? [never/") and len(asked) == 12
    assert "Give a number" in printed.err
    assert "facts_change = daily" in printed.out and "labelled = hundreds" in printed.out


def test_the_public_verb_is_the_same() -> None:
    assert groundtune.advise(HELPDESK) == advise(HELPDESK)
