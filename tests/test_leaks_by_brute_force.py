"""500 (caller, question) pairs of `benchmarks/leaks.py`, on towns of 120 documents: nothing leaves and nothing is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.leaks import CONFIG, Part, parts, run, summary
from benchmarks.leaks_check import unauthorised_in_answer, unauthorised_in_hits
from benchmarks.leaks_world import HOSTILE, NOBODY, Reference, Rule, Town, bm25
from groundtune.access.audience import may_read
from groundtune.access.policy import Policy
from groundtune.answer.assistant import NO_SHARED_WORD
from groundtune.models import load_embedder
from groundtune.testing import bm25 as bm25_of_entries
from groundtune.testing import index_entries
from groundtune.types import Answer, Caller, Chunk, Citation, Hit


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("leaks")


@pytest.mark.parametrize(("phase", "pairs"), [("synced", 300), ("revoked", 100), ("tenants", 100)])
def test_nothing_leaves_that_a_caller_may_not_read(folder: Path, phase: str, pairs: int) -> None:
    seen = run(Part(phase, "sqlite", 40, pairs), folder)
    assert seen["pairs"] == pairs
    assert seen["unauthorised"] == 0
    assert seen["asked"] > 0
    assert seen["found"] >= 0.98 * seen["wanted"] > 0, "what brute force finds is found"


def test_without_locks_the_same_check_finds_leaks(folder: Path) -> None:
    seen = run(Part("doubles", "sqlite", 40, 60), folder)
    assert seen["both_locks_off_unauthorised"] > 60
    assert seen["final_check_off_unauthorised"] > 0, "the index is behind"
    assert seen["filter_off_unauthorised"] == 0, "the final check holds alone"


# --- the town and its brute force ---------------------------------------------------------------------------------------


def test_a_rule_of_the_town_means_what_an_audience_means() -> None:
    town = Town(1, 1)
    rules = [town.rule(writable=False) for _ in range(300)]
    callers = [town.caller() for _ in range(60)]
    for rule in [*rules, NOBODY, Rule((frozenset(),))]:
        for caller in callers:
            assert rule.lets(caller) == may_read(rule.audience, Caller.of(*caller))
    assert any(rule.lets(caller) for rule in rules for caller in callers)


def test_towns_are_drawn_alike_and_share_no_marker() -> None:
    one, same, other = Town(300, 100), Town(300, 100), Town(300, 100, seed=1)
    assert (one.texts, one.rules) == (same.texts, same.rules)
    assert one.number_of == other.number_of
    assert not one.owner_of.keys() & other.owner_of.keys()
    assert len(set(one.rules)) == 100
    assert sum(one.groups[number] != number for number in one.numbers) == 30
    assert any(set(HOSTILE) & clause for rule in one.rules for clause in rule.clauses)


def test_brute_force_scores_as_the_textbook_says() -> None:
    entries = index_entries(50)
    expected = bm25_of_entries("zebra river river", entries)
    (scores,) = bm25([entry.text for entry in entries], ["zebra river river"])
    assert {entry.chunk.id: score for entry, score in zip(entries, scores, strict=True) if score} == pytest.approx(expected)


def test_brute_force_leaves_out_what_may_not_be_read_before_it_ranks() -> None:
    town = Town(60, 1)
    reference = Reference(town, [town.question() for _ in range(5)], embedder=load_embedder("fake:hash"))
    everything = np.ones(60, dtype=bool)
    best = reference.ranked(0, everything)
    without = everything.copy()
    without[best[0]] = False
    assert best[0] not in reference.ranked(0, without)
    assert reference.ranked(0, without)[0] == best[1]
    assert not reference.ranked(0, ~everything)
    assert not reference.shares_a_word(0, ~everything)


def test_each_way_to_give_something_away_counts() -> None:
    town = Town(4, 1)
    readable = np.array([True, True, False, False])
    mine, other = (Chunk(f"{town.id(number)}#0-1", town.id(number), "x", 0, 1) for number in (0, 2))
    assert unauthorised_in_hits([Hit(mine, town.marker(1), 1.0)], town, readable) == 0
    for hit in (
        Hit(other, "", 1.0),
        Hit(mine, town.marker(3), 1.0),
        Hit(mine, "", 1.0, metadata={"near_duplicates": [other.id]}),
        Hit(Chunk("strange#0-1", "strange", "x", 0, 1), "", 1.0),
        Hit(Chunk(mine.id, mine.document, Town(4, 1, seed=9).marker(0), 0, 1), "", 1.0),
    ):
        assert unauthorised_in_hits([hit], town, readable) == 1

    def given(answer: Answer, *prompts: str, shares: bool = True, question: str = "?") -> int:
        return unauthorised_in_answer(answer, prompts, town, readable, question=question, shares_a_word=shares)

    marker = town.marker(2)
    assert given(Answer("fine", context=(mine.id,))) == 0
    assert given(Answer(f"it says {marker}")) == 1
    assert given(Answer("x", citations=(Citation(1, town.id(2), "", 0, 1, "x"),))) == 1
    assert given(Answer("x", context=(other.id,))) == 1
    assert given(Answer("x"), f"[1] {marker}") == 1
    assert given(Answer("x"), f"Question: {marker}", question=marker) == 0, "the caller's own word"
    assert given(Answer("x", abstained=True), shares=False) == 1, "it tells that the word stands somewhere"
    assert given(Answer("x", abstained=True, reason=NO_SHARED_WORD), shares=False) == 0


def test_sidecars_say_what_the_rules_say(tmp_path: Path) -> None:
    town = Town(30, 30)
    town.write(tmp_path, config=CONFIG.format(backend="sqlite"))
    for number in town.numbers:
        ruling = Policy().ruling(town.id(number), tmp_path / "documents" / town.id(number))
        assert not ruling.problem
        assert ruling.audience == town.rules[number].audience


# --- the whole ----------------------------------------------------------------------------------------------------------


def test_pairs_add_up_to_the_promise_in_every_phase() -> None:
    planned = parts(100_000)
    assert len({part.name for part in planned}) == len(planned)
    for phase in ("synced", "revoked", "tenants"):
        assert sum(part.pairs for part in planned if part.phase == phase) >= 100_000


def test_one_leak_or_one_pair_less_misses_the_goal() -> None:
    rows = [
        {
            "phase": part.phase,
            "backend": part.backend,
            "seconds": 60.0,
            "counts": {"pairs": part.pairs, "wanted": 4, "found": 3},
        }
        for part in parts(1_000)
        if part.phase != "doubles"
    ]
    off = {"both_locks_off_unauthorised": 9, "final_check_off_unauthorised": 2}
    doubles = [{"phase": "doubles", "backend": "sqlite", "seconds": 60.0, "counts": off}]
    figures, goals = summary(rows + doubles, pairs=1_000)
    assert all(one.met for one in goals)
    assert figures["synced_share_found_of_what_brute_force_finds"] == 0.75
    assert figures["synced_pairs_on_lance"] == 50
    rows[0]["counts"] |= {"unauthorised": 1, "pairs": 0}
    missed = {one.name for one in summary(rows, pairs=1_000)[1] if not one.met}
    assert {"synced_unauthorised", "synced_pairs", "both_locks_off_unauthorised"} <= missed
    assert summary([], pairs=1_000)[0]["synced_unauthorised"] is None
