"""Groups, folds and splits: nothing leaks across, and order and names of the rows do not matter."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundtune.dataset.split import assign_groups, draw, folds, grouping, split
from groundtune.errors import DataError, TooFewQuestions
from groundtune.types import Evidence, Example, Message


def item(number: int, *sections: str, group: str = "", kind: str = "", answers: tuple[str, ...] = ("x",)) -> Example:
    evidence = tuple(Evidence("a.md", f"quote {number}", spans=((0, 1),), sections=(section,)) for section in sections)
    return Example(f"q{number}", f"question {number}?", answers, evidence=evidence, group=group, kind=kind)


def groups(*examples: Example) -> list[str]:
    return [example.group for example in assign_groups(examples)]


def test_items_of_one_section_are_one_group_and_links_are_transitive() -> None:
    assert groups(item(1, "A"), item(2, "B"), item(3, "B", "C"), item(4, "C"), item(5)) == [
        "a.md > A",
        "a.md > B",
        "a.md > B",
        "a.md > B",
        "q5",
    ]


def test_a_given_group_wins() -> None:
    assert groups(item(1, "A", group="g1"), item(2, "A", group="g2")) == ["g1", "g2"]
    assert groups(item(1, "A", group="g1"), item(2, "A")) == ["g1", "g1"]
    assert groups(item(1, "A", group="g1"), item(2, "A", "B"), item(3, "B", group="g2")) == ["g1 + g2"] * 3


def test_unlocated_quotes_and_repeated_questions_link() -> None:
    quotes = enumerate([Evidence("a.md", "Who  is"), Evidence("a.md", "who is")])
    quoted = [Example(f"q{n}", f"question {n}", ("x",), evidence=(quote,)) for n, quote in quotes]
    assert len(set(groups(*quoted))) == 1
    asked = [Example(f"q{n}", "Where?", ("x",), principals=(who,)) for n, who in enumerate(["ann", "bob"])]
    assert groups(*asked) == ["q0", "q0"]
    told = [replace(example, history=(Message("user", f"{n}"),)) for n, example in enumerate(asked)]
    assert groups(*told) == ["q0", "q1"]


rows = st.tuples(st.lists(st.sampled_from("ABCDEFGHIJ"), max_size=2), st.sampled_from(["", "k"]), st.sampled_from([(), ("x",)]))
items = st.lists(rows, min_size=2, max_size=40).map(
    lambda some: [item(n, *sections, kind=kind, answers=answers) for n, (sections, kind, answers) in enumerate(some)]
)


@given(items, st.integers(2, 4), st.integers(0, 3), st.randoms(use_true_random=False))
def test_no_group_is_cut_and_order_does_not_matter(examples: list[Example], k: int, seed: int, chance: random.Random) -> None:
    grouped = assign_groups(examples)
    shuffled = list(examples)
    chance.shuffle(shuffled)
    assert {one.id: one.group for one in assign_groups(shuffled)} == {one.id: one.group for one in grouped}
    if grouping(grouped).groups < k:
        with pytest.raises(TooFewQuestions):
            folds(grouped, k, seed=seed)
        return
    parts = folds(grouped, k, seed=seed)
    assert sorted(one for part in parts for one in part) == sorted(one.id for one in grouped) and all(parts)
    group = {one.id: one.group for one in grouped}
    assert sum(len({group[one] for one in part}) for part in parts) == len(set(group.values()))
    assert folds(assign_groups(shuffled), k, seed=seed) == parts


def test_folds_are_balanced_by_size_kind_and_answerability() -> None:
    chance = random.Random(0)
    examples = assign_groups(
        [
            item(n, f"S{chance.randrange(40)}", kind=chance.choice(["a", "b"]), answers=("x",) if chance.random() < 0.8 else ())
            for n in range(120)
        ]
    )
    by_id = {example.id: example for example in examples}
    parts = folds(examples, 3, seed=0)
    assert max(map(len, parts)) - min(map(len, parts)) <= 2
    for trait in (lambda one: one.kind == "a", lambda one: not one.answers):
        counts = [sum(trait(by_id[one]) for one in part) for part in parts]
        assert max(counts) - min(counts) <= 6


def test_a_split_has_its_shares_and_its_seed() -> None:
    examples = assign_groups([item(n, f"S{n // 2}") for n in range(300)])
    first, second = split(examples, seed=0), split(examples, seed=1)
    assert Counter(first.values()) == Counter(second.values()) == Counter(train=150, dev=30, test=120)
    assert first != second and split(list(reversed(examples)), seed=0) == first


def test_some_are_drawn_by_whole_groups_and_balanced() -> None:
    examples = [item(n, kind="ab"[n % 2], group=f"g{n // 3}", answers=("x",) if n % 5 else ()) for n in range(60)]
    drawn = draw(examples, 20, seed=3)
    assert abs(len(drawn) - 20) <= 3 and drawn == sorted(drawn)
    by_id = {example.id: example for example in examples}
    kept = {by_id[id].group for id in drawn}
    assert sum(example.group in kept for example in examples) == len(drawn)
    assert abs(Counter(by_id[id].kind for id in drawn)["a"] - len(drawn) / 2) <= 2
    assert drawn == draw(examples[::-1], 20, seed=3) != draw(examples, 20, seed=4)
    assert draw(examples, 60, seed=3) == sorted(by_id)
    assert draw(examples[:3], 1, seed=3) == ["q0", "q1", "q2"]


def test_what_cannot_be_split() -> None:
    with pytest.raises(TooFewQuestions) as caught:
        split(assign_groups([item(1, "A"), item(2, "A"), item(3, "B")]), seed=0)
    assert caught.value.needed == 3
    with pytest.raises(DataError, match="no group"):
        folds([item(1), item(2)], 2, seed=0)
    with pytest.raises(DataError, match="at least 2"):
        folds(assign_groups([item(1), item(2)]), 1, seed=0)


def test_a_group_with_half_of_the_items_is_reported() -> None:
    big = assign_groups([*(item(n, "Big") for n in range(5)), *(item(n) for n in range(5, 10))])
    report = grouping(big)
    assert (report.items, report.groups, report.largest, report.largest_items) == (10, 6, "a.md > Big", 5)
    assert "5 of 10" in report.warning
    assert not grouping(assign_groups([item(n) for n in range(10)])).warning
