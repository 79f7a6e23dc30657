"""The gate, check by check: what is dropped or changed, why, and what can be left."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundtune.access.audience import may_read
from groundtune.dataset.findings import CHECKS, Checked, Gate
from groundtune.dataset.gate import check_dataset
from groundtune.dataset.read import Problem
from groundtune.errors import UsageError
from groundtune.types import Audience, Caller, Evidence, Example, Message

STAFF = Audience.of("staff")
OPEN = Gate(may_train=lambda _: "", audience_of=lambda _: STAFF, users=(Caller.of("staff"),), personal_kinds=())


def example(id: str, question: str, *answers: str, **fields: object) -> Example:
    return replace(Example(id, question, answers, origin=f"f.jsonl:{id}"), **fields)  # type: ignore[arg-type]


def dropped(checked: Checked, check: str) -> dict[str, str]:
    return {one.example: one.reason for one in checked.findings if one.check == check and one.action == "dropped"}


TOPICS = ("kettle boils", "ladder wobbles", "printer jams", "scanner hums", "trolley squeaks", "projector flickers")


WORDS = """amber birch cedar delta ember flint grove haven islet jetty knoll larch mango nylon olive pearl quartz raven saddle
thistle umber velvet walnut yarrow zephyr anchor basil copper dagger easel fennel garnet hazel indigo juniper kernel lantern"""


def varied(number: int) -> list[Example]:
    """Examples that are alike in nothing but their kind."""
    found = []
    for at in range(number):
        a, b, c, d, e, f = random.Random(at).sample(WORDS.split(), 6)
        found.append(example(str(at), f"Why does the {a} {TOPICS[at % 6]} near {b} {c}?", f"Because of {d}, {e} and {f}."))
    return found


def test_clean_examples_pass_untouched_and_every_check_is_counted() -> None:
    examples = varied(30)
    checked = check_dataset(examples, gate=OPEN)
    assert checked.kept == tuple(examples) and not checked.findings
    assert list(checked.counts()) == list(CHECKS)


def test_rows_that_could_not_be_read_and_ids_that_two_files_share() -> None:
    first, second = example("a", "Where is it?", "Here."), replace(example("a", "What is it?", "That."), origin="g.jsonl:1")
    checked = check_dataset([first, second], gate=OPEN, problems=[Problem("f.jsonl", 9, "", "not JSON")])
    assert checked.kept == (first,)
    assert [(one.origin, one.reason) for one in checked.findings] == [
        ("f.jsonl:9", "not JSON"),
        ("g.jsonl:1", "id 'a' is taken by f.jsonl:a"),
    ]


def test_source_policy_comes_before_the_audience() -> None:
    gate = replace(OPEN, may_train=lambda one: "no licence" if one.id == "a" else "", audience_of=lambda _: Audience())
    checked = check_dataset([example("a", "Where is it?", "Here."), example("b", "Who is it?", "Kim.")], gate=gate)
    assert dropped(checked, "source") == {"a": "no licence"}
    assert dropped(checked, "audience") == {"b": "may not be read by staff"}


principals = st.sampled_from(["a", "b", "c", "d", "everyone"])
audiences = st.builds(
    Audience, st.frozensets(st.frozensets(principals, min_size=1), max_size=3), st.frozensets(principals, max_size=1)
)


@settings(deadline=None, max_examples=30)
@given(st.lists(audiences, max_size=6), st.lists(st.frozensets(principals, max_size=3), max_size=3))
def test_nothing_enters_that_some_user_may_not_read(held: list[Audience], users: list[frozenset[str]]) -> None:
    gate = replace(OPEN, users=tuple(map(Caller, users)), audience_of=lambda one: held[int(one.id)])
    examples = varied(len(held))
    kept = check_dataset(examples, gate=gate).kept
    wanted = [
        one
        for one, audience in zip(examples, held, strict=True)
        if users and all(may_read(audience, user) for user in gate.users)
    ]
    assert list(kept) == wanted


def test_a_secret_in_any_part_drops_the_example_unless_it_is_left() -> None:
    key = "AKIA" + "Q3EGRTZ5XWVJKLM2"
    examples = [
        example("q", f"Is {key} ours?", "Yes."),
        example("h", "And why so?", "It is old.", history=(Message("user", f"password: {'hunter2xyz'}"),)),
        example("e", "Which one is it?", "That.", evidence=(Evidence("a.md", f"token {key}"),)),
        example("ok", "What is a password manager?", "A program that keeps passwords and secrets."),
    ]
    checked = check_dataset(examples, gate=OPEN)
    assert [one.id for one in checked.kept] == ["ok"]
    assert dropped(checked, "secrets")["q"] == "question holds: AWS Access Key"
    assert dropped(checked, "secrets")["h"] == "history[0] holds: password"
    left = check_dataset(examples, gate=replace(OPEN, leave=frozenset({("secrets", "q")})))
    assert [one.id for one in left.kept] == ["q", "ok"] and left.counts()["secrets"] == {"dropped": 2, "changed": 0, "left": 1}


def test_near_duplicates_keep_the_first_and_numbers_tell_apart() -> None:
    examples = [
        example("a", "How do I reset the password of my account?", "Press the button on the login page."),
        example("b", "how do i reset the password of my acount", "Press the button on the login page!"),
        example("c", "How do I reset the password of my account?", "Ask team 7."),
        example("d", "What does plan 3 cost in a year?", "5 million in a year."),
        example("e", "What does plan 4 cost in a year?", "6 million in a year."),
    ]
    checked = check_dataset(examples[:2] + examples[3:], gate=OPEN)
    assert [one.id for one in checked.kept] == ["a", "d", "e"]
    assert "nearly the same as 'a' (f.jsonl:a)" in dropped(checked, "duplicates")["b"]


def test_overlap_with_what_is_tested_on() -> None:
    run = "the notice period for staff in the Oslo office is three months from the end of the month"
    held = {
        "t1": example("t1", "What is the notice period in Oslo?", run),
        "t2": example("t2", "Who repairs the broken coffee machine in building nine?", "team 4"),
    }
    examples = [
        example("t1", "An unrelated question is asked here?", "Yes."),
        example("run", "Tell me about leaving", f"Well: {run.upper()}, as a rule."),
        example("near", "Who repairs the broken coffe machine in building nine", "They do."),
        example(
            "inside", "Hello, tell me, who repairs the broken coffee machine in building nine? Thanks a lot in advance!", "Kim."
        ),
        example(
            "said", "And by when?", "Soon.", history=(Message("user", "Who repairs a broken coffee machine in building nine?"),)
        ),
        example("fine", "Who repairs the roof of the old barn?", "Nobody does."),
    ]
    checked = check_dataset(examples, gate=replace(OPEN, held_out=held))
    assert [one.id for one in checked.kept] == ["fine"]
    reasons = dropped(checked, "overlap")
    assert reasons["t1"] == "is a test item" and reasons["run"] == "repeats words of the test item 't1'"
    assert reasons["near"].startswith("asks nearly what the test item 't2' asks")
    with pytest.raises(UsageError, match="cannot be kept"):
        check_dataset(examples, gate=replace(OPEN, leave=frozenset({("overlap", "near")})))


def test_contradictory_labels() -> None:
    texts = ["cancel it", "Cancel it!", "cancel  it", "track my parcel", "track my parcel?", "refund me", "REFUND me"]
    labels = ["cancel_order", "cancel_order", "track", "track_order", "refund_status", "get_refund", "get_refund"]
    examples = [example(str(at), text, label) for at, (text, label) in enumerate(zip(texts, labels, strict=True))]
    gate = replace(OPEN, leave=frozenset(("duplicates", str(at)) for at in range(7)))
    reasons = dropped(check_dataset(examples, gate=gate), "labels")
    assert sorted(reasons) == ["2", "3", "4"]
    assert reasons["3"] == "the same question has another answer: f.jsonl:4"
    contexts = [replace(examples[3], history=(Message("user", "Hi"),)), examples[4]]
    assert not dropped(check_dataset(contexts, gate=gate), "labels")


def test_outliers_need_company() -> None:
    odd = example("odd", "?!#" * 60 + " what", "word " * 900)
    assert odd in check_dataset([*varied(5), odd], gate=OPEN).kept
    many = [
        replace(one, question=one.question + " indeed" * (at % 4), answers=(one.answers[0] + " so" * (at % 5),))
        for at, one in enumerate(varied(40))
    ]
    reasons = dropped(check_dataset([*many, odd], gate=OPEN), "outliers")
    assert list(reasons) == ["odd"] and "length of the answer" in reasons["odd"]
