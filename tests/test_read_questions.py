"""Question files: what is read, and what each bad row is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundtune.dataset.read import read_questions, write_questions
from groundtune.errors import DataError, NotFound
from groundtune.types import Evidence, Example, Message

GOOD = '{"id": "good", "question": "Where?", "answers": ["Oslo"]}'


def write(tmp_path: Path, *lines: str | bytes) -> Path:
    path = tmp_path / "questions.jsonl"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
    return path


def test_a_full_row(tmp_path: Path) -> None:
    row = {
        "id": 7,
        "question": "And there?",
        "answers": "Oslo",
        "history": [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "Here."}],
        "evidence": [{"document": "./a/b.md", "quote": "in Oslo"}],
        "facts": ["It is in Oslo."],
        "group": "g",
        "kind": "city",
        "principals": ["staff"],
    }
    path = write(tmp_path, "", json.dumps(row), "  \r")
    assert read_questions(path).examples == (
        Example(
            "7",
            "And there?",
            ("Oslo",),
            history=(Message("user", "Where?"), Message("assistant", "Here.")),
            evidence=(Evidence("a/b.md", "in Oslo"),),
            facts=("It is in Oslo.",),
            group="g",
            kind="city",
            principals=("staff",),
            origin=f"{path}:2",
        ),
    )


def test_a_row_without_id_keeps_its_derived_id_wherever_it_stands(tmp_path: Path) -> None:
    row, other = '{"question": "Where?", "answers": []}', '{"question": "Where?", "answers": [], "principals": ["hr"]}'
    first = read_questions(write(tmp_path, row, other)).examples
    second = read_questions(write(tmp_path, other, GOOD, row)).examples
    assert first[0].id == second[2].id and first[1].id == second[0].id and first[0].id != first[1].id


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not JSON"),
        ("[1]", "must be an object, got a list"),
        ('{"question": "q", "answers": ["x"], "evidnce": []}', "Did you mean 'evidence'?"),
        ('{"question": "q", "answers": ["x"], "zzz": 1}', "unknown field 'zzz'. Fields: id"),
        ('{"question": "q"}', "'answers' is missing"),
        ('{"answers": []}', "'question' is missing"),
        ('{"question": "q", "answers": null}', "Write [] for a question"),
        ('{"question": "q", "answers": [3]}', "answers[0] must be text, got a number"),
        ('{"question": "q", "answers": [""]}', "answers[0] is empty"),
        ('{"question": " ", "answers": []}', "question is empty"),
        ('{"question": ["q"], "answers": []}', "question must be text, got a list"),
        ('{"id": true, "question": "q", "answers": []}', "id must be text, got true or false"),
        ('{"id": 1.5, "question": "q", "answers": []}', "id must be text, got a number"),
        ('{"question": "q", "answers": [], "history": [{"role": "bot", "content": "x"}]}', "history[0].role is 'bot'"),
        ('{"question": "q", "answers": [], "evidence": [{"document": "a.md"}]}', "evidence[0] lacks 'quote'"),
        ('{"question": "q", "answers": [], "evidence": [{"doc": "a.md", "quote": "x"}]}', "unknown field 'doc' in evidence[0]"),
        ('{"question": "q", "answers": [], "evidence": "a.md"}', "evidence must be a list, got text"),
        ('{"question": "q", "answers": [], "principals": "hr"}', "principals must be a list, got text"),
        ('{"question": "q", "answers": ["x"], "answers": []}', "'answers' occurs twice"),
        ('{"question": "\\ud800", "answers": []}', "surrogate"),
        ('{"id": "good", "question": "q", "answers": []}', "id 'good' is taken by"),
        ('{"question": "q", "answers": [], "group": ' + "[" * 100_000, "nested too deeply"),
        ('{"id": ' + "9" * 5_000 + "}", "too many digits"),
        (b'{"question": "\xff", "answers": []}', "not UTF-8 at byte 15"),
    ],
)
def test_a_bad_row_is_named_and_the_rest_is_kept(tmp_path: Path, line: str | bytes, says: str) -> None:
    last = '{"id": "last", "question": "When?", "answers": []}'
    path = write(tmp_path, GOOD, line, last)
    reading = read_questions(path)
    assert [example.id for example in reading.examples] == ["good", "last"]
    [problem] = reading.problems
    assert says in problem.what and (problem.file, problem.line) == (str(path), 2)
    assert str(problem).startswith(f"{path}:2")


def test_the_same_question_twice_without_id(tmp_path: Path) -> None:
    row = '{"question": "Where?", "answers": ["%s"]}'
    path = write(tmp_path, row % "Oslo", row % "Rome")
    reading = read_questions(path)
    assert [example.answers for example in reading.examples] == [("Oslo",)]
    assert f"the same question as {path}:1" in reading.problems[0].what


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    assert not read_questions(write(tmp_path, b"\xef\xbb\xbf" + GOOD.encode())).problems


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"absent\.jsonl"):
        read_questions(tmp_path / "absent.jsonl")
    with pytest.raises(DataError, match="cannot be read"):
        read_questions(tmp_path)
    with pytest.raises(DataError, match="empty"):
        read_questions(write(tmp_path, ""))
    with pytest.raises(DataError, match=r"questions\.jsonl:1.*2 rows, and none can be used.*not JSON"):
        read_questions(write(tmp_path, "{", "}"))


text = st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda value: bool(value.strip()))
examples = st.builds(
    Example,
    id=text,
    question=text,
    answers=st.lists(text, max_size=2).map(tuple),
    history=st.lists(st.builds(Message, st.sampled_from(["user", "assistant"]), text), max_size=2).map(tuple),
    evidence=st.lists(st.builds(Evidence, text.map(lambda value: f"d/{value}"), text), max_size=2).map(tuple),
    facts=st.lists(text, max_size=2).map(tuple),
    group=text,
    principals=st.lists(text, max_size=2).map(tuple),
)


@given(st.lists(examples, min_size=1, max_size=3, unique_by=lambda example: example.id))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, written: list[Example]) -> None:
    path = tmp_path_factory.mktemp("rows") / "questions.jsonl"
    write_questions(path, written)
    reading = read_questions(path)
    assert not reading.problems
    assert [(e.id, e.question, e.answers, e.history, e.evidence, e.facts, e.group, e.principals) for e in reading.examples] == [
        (e.id, e.question, e.answers, e.history, e.evidence, e.facts, e.group, e.principals) for e in written
    ]
