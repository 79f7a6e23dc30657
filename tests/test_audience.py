from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundtune.access.audience import conjoin, from_json, implies, may_read, spoken, to_json
from groundtune.errors import WorkspaceError
from groundtune.types import EVERYONE, NOBODY, Audience, Caller

few = st.sampled_from(["a", "b", "c", "d", EVERYONE])
hostile = st.text(st.characters(), max_size=5) | st.sampled_from(
    ["", "\x00", "\ud800", "'; DROP TABLE audiences; --", "a,b", '["a"]']
)


def audiences(principals: st.SearchStrategy[str]) -> st.SearchStrategy[Audience]:
    clauses = st.frozensets(st.frozensets(principals, max_size=3), max_size=4)
    return st.builds(Audience, clauses, st.frozensets(principals, max_size=2))


callers = st.builds(Caller, st.frozensets(few, max_size=4))


def brute_force(audience: Audience, caller: Caller) -> bool:
    """The definition, principal by principal: an AND of ORs, minus the denied; no clause at all is nobody."""
    if len(audience.clauses) == 0:
        return False
    for clause in audience.clauses:
        met = False
        for principal in caller.principals:
            for wanted in clause:
                met = met or principal == wanted
        if not met:
            return False
    return all(held != refused for held in caller.principals for refused in audience.denied)


@given(audiences(few), callers)
def test_may_read_is_the_definition(audience: Audience, caller: Caller) -> None:
    assert may_read(audience, caller) == brute_force(audience, caller)


@given(st.lists(audiences(few), max_size=5), callers)
def test_a_conjunction_lets_in_exactly_those_who_may_read_everything(given_: list[Audience], caller: Caller) -> None:
    everything = bool(given_) and all(brute_force(audience, caller) for audience in given_)
    assert may_read(conjoin(given_), caller) == everything


@given(st.lists(audiences(few), max_size=5))
def test_a_conjunction_depends_on_neither_order_nor_repetition_and_leaves_out_what_is_implied(given_: list[Audience]) -> None:
    joined = conjoin(given_)
    assert conjoin([*reversed(given_), *given_]) == joined
    for clause in joined.clauses:
        assert not any(other < clause for other in joined.clauses)


def test_examples_of_the_algebra() -> None:
    staff_hr = Audience(frozenset({frozenset({"staff"}), frozenset({"hr", "it"})}), frozenset({"intern"}))
    assert may_read(staff_hr, Caller.of("staff", "it"))
    assert not may_read(staff_hr, Caller.of("staff"))
    assert not may_read(staff_hr, Caller.of("hr", "it"))
    assert not may_read(staff_hr, Caller.of("staff", "it", "intern"))
    assert may_read(Audience.of(EVERYONE), Caller())
    assert not may_read(Audience.of(EVERYONE, denied=("x",)), Caller.of("x"))
    assert not may_read(Audience(denied=frozenset({"x"})), Caller.of("y"))
    assert not may_read(Audience(frozenset({frozenset()})), Caller.of("y"))
    assert conjoin([]) == conjoin([Audience.of("a"), NOBODY]) == NOBODY
    assert conjoin([Audience.of(EVERYONE), Audience.of("a", "b"), Audience.of("a")]) == Audience.of("a")
    assert conjoin([Audience.of(EVERYONE, "x"), Audience.of(EVERYONE)]) == Audience.of(EVERYONE)
    assert conjoin([Audience.of("a"), Audience.of("b", denied=("c",))]).denied == {"c"}


EVERYBODY = [Caller.of(*held) for size in range(5) for held in combinations("abcd", size)]
"""Every caller there is over the few principals."""


@given(audiences(few), audiences(few))
@settings(max_examples=500)
def test_one_audience_implies_another_exactly_when_every_reader_of_it_reads_the_other(one: Audience, other: Audience) -> None:
    assert implies(one, other) == all(brute_force(other, caller) for caller in EVERYBODY if brute_force(one, caller))


@given(audiences(few), audiences(few))
def test_a_conjunction_implies_each_of_its_parts(one: Audience, other: Audience) -> None:
    assert implies(conjoin([one, other]), one) and implies(one, one)


def test_who_loses_by_a_change() -> None:
    hr_or_it = Audience.of("hr", "it")
    assert implies(Audience.of("hr"), hr_or_it) and not implies(hr_or_it, Audience.of("hr"))
    assert implies(hr_or_it, Audience.of("hr", EVERYONE)) and not implies(Audience.of(EVERYONE), hr_or_it)
    assert not implies(hr_or_it, Audience.of("hr", "it", denied=("intern",)))
    assert implies(Audience.of("hr", "it", denied=("it",)), Audience.of("hr")), "whoever is it was denied before too"
    assert not implies(hr_or_it, NOBODY) and implies(NOBODY, hr_or_it)
    assert implies(Audience.of("x", denied=("x",)), NOBODY), "nobody could read it"


def test_in_words() -> None:
    staff_hr = Audience(frozenset({frozenset({"staff"}), frozenset({"it", "hr"})}), frozenset({"intern"}))
    assert spoken(staff_hr) == "(hr or it) and staff, but not intern"
    assert (spoken(Audience.of("b", "a")), spoken(NOBODY)) == ("a or b", "nobody")


def test_the_conjunction_of_very_many_stays_symbolic_and_small() -> None:
    many = conjoin(Audience.of(f"team{number % 40}", "audit", denied=(f"left{number % 3}",)) for number in range(20_000))
    assert (len(many.clauses), len(many.denied)) == (40, 3)


@given(audiences(hostile), audiences(hostile))
def test_json_is_one_spelling_and_comes_back_whatever_principals_hold(one: Audience, other: Audience) -> None:
    text = to_json(one)
    assert text.isascii() and "\x00" not in text
    assert from_json(text) == one
    assert to_json(from_json(text)) == text
    assert (to_json(other) == text) == (other == one)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"clauses": [["a"]]}',
        '{"clauses": ["ab", 3], "denied": []}',
        '{"clauses": [[1]], "denied": []}',
        '{"clauses": "ab", "denied": []}',
        '{"clauses": ["ab"], "denied": []}',
    ],
)
def test_a_damaged_audience_is_never_taken_for_one(text: str) -> None:
    with pytest.raises(WorkspaceError, match="damaged"):
        from_json(text)
