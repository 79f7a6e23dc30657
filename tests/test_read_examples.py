"""Examples in every format that teams have: what is read, and what each bad row is told."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundtune.dataset.formats import FORMATS, read_examples
from groundtune.dataset.read import read_questions
from groundtune.errors import DataError, NotFound, UsageError
from groundtune.types import Message

USER, BOT = "user", "assistant"
CHAT = [("user", "Hi"), ("assistant", "Hello."), ("user", "Where?"), ("assistant", "Oslo.")]


def write(folder: Path, text: str | bytes, name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def lines(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


OPENAI = {"messages": [{"role": "system", "content": "Be brief."}, *({"role": who, "content": said} for who, said in CHAT)]}
SHAREGPT = {
    "system": "Be brief.",
    "conversations": [{"from": "human" if who == USER else "gpt", "value": said} for who, said in CHAT],
}


@pytest.mark.parametrize("row", [OPENAI, SHAREGPT], ids=["openai", "sharegpt"])
def test_a_conversation_is_an_example_for_each_reply_in_one_group(tmp_path: Path, row: dict[str, object]) -> None:
    first, second = read_examples(write(tmp_path, lines(row))).examples
    assert (first.question, first.answers, first.history) == ("Hi", ("Hello.",), (Message("system", "Be brief."),))
    assert (second.question, second.answers) == ("Where?", ("Oslo.",))
    assert [message.content for message in second.history] == ["Be brief.", "Hi", "Hello."]
    assert first.group == second.group and first.id == f"{first.group}/1" and second.id == f"{first.group}/2"


def test_a_reply_of_no_weight_is_history_only(tmp_path: Path) -> None:
    turns = [{"role": who, "content": said, "weight": 0 if said == "Hello." else 1} for who, said in CHAT]
    (only,) = read_examples(write(tmp_path, lines({"messages": turns}))).examples
    assert only.answers == ("Oslo.",) and only.history[-1] == Message("assistant", "Hello.")


def test_alpaca_and_pairs(tmp_path: Path) -> None:
    rows = [{"instruction": "Translate.", "input": "Haus", "output": "house"}, {"instruction": "Say a.", "output": "a"}]
    translated, said = read_examples(write(tmp_path, json.dumps(rows, indent=2), "rows.json")).examples
    assert (translated.question, translated.answers, translated.origin) == (
        "Translate.\n\nHaus",
        ("house",),
        f"{tmp_path / 'rows.json'}:2",
    )
    assert said.origin.endswith(":7")
    pair = {"prompt": [{"role": "user", "content": "Where?"}], "completion": "Oslo."}
    assert read_examples(write(tmp_path, lines(pair))).examples[0].answers == ("Oslo.",)


def test_native_questions_read_as_before(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        lines(
            {"question": "Where?", "answers": ["Oslo"], "group": "g", "principals": ["hr"]}, {"question": "Q", "answers": []}
        ),
    )
    assert read_examples(path) == read_questions(path)


TICKET = {
    "id": 7,
    "subject": "No wifi",
    "description": "It is gone since Monday.",
    "requester": "kim",
    "comments": [
        {"author": "ana", "text": "Which room?"},
        {"author": "ana", "text": "It is the router again, do not tell.", "internal": True},
        {"author": "kim", "text": "Room 4."},
        {"author": "ana", "text": "Plug the box in.", "accepted": True},
        {"author": "kim", "text": "Works!"},
    ],
}


def test_a_ticket_ends_with_its_accepted_answer(tmp_path: Path) -> None:
    (one,) = read_examples(write(tmp_path, lines(TICKET))).examples
    assert (one.id, one.group, one.question, one.answers) == ("7", "7", "Room 4.", ("Plug the box in.",))
    assert one.history == (Message("user", "No wifi\n\nIt is gone since Monday."), Message("assistant", "Which room?"))


def test_a_ticket_with_a_resolution_or_an_id_of_the_answer(tmp_path: Path) -> None:
    solved = {"id": "a", "problem": "No wifi", "resolution": "Plug it in."}
    named = {
        "id": "b",
        "title": "No ink",
        "accepted_answer_id": 2,
        "comments": [{"id": 1, "text": "?"}, {"id": 2, "text": "Refill."}],
    }
    open_ = {"id": "c", "title": "No light", "comments": [{"id": 1, "text": "Try the switch."}]}
    reading = read_examples(write(tmp_path, lines(solved, named, open_)))
    assert [(one.question, one.answers) for one in reading.examples] == [
        ("No wifi", ("Plug it in.",)),
        ("No ink", ("Refill.",)),
    ]
    (problem,) = reading.problems
    assert (problem.line, problem.id) == (3, "c") and "no answer was accepted" in problem.what


def test_messages_one_a_row_become_tickets(tmp_path: Path) -> None:
    rows = ["t1,ana,3,Restart it.,yes", "t1,kim,1,Printer jams,", "t2,bo,1,Lights?,", 't1,kim,2,"It says ""jam""",']
    table = "\n".join(["thread,author,time,text,accepted", *rows])
    reading = read_examples(write(tmp_path, table, "chat.csv"))
    (one,) = reading.examples
    assert (one.id, one.question, one.answers) == ("t1", 'Printer jams\n\nIt says "jam"', ("Restart it.",))
    assert [(problem.line, problem.id) for problem in reading.problems] == [(4, "t2")]


def test_columns_of_a_table_get_our_names(tmp_path: Path) -> None:
    path = write(tmp_path, "\ufeffutterance;intent;tags\nCancel it;cancel_order;B\n;track_order;B\n", "rows.csv")
    reading = read_examples(path, columns={"question": "utterance", "answers": "intent"})
    assert [(one.question, one.answers, one.origin) for one in reading.examples] == [
        ("Cancel it", ("cancel_order",), f"{path}:2")
    ]
    assert reading.problems[0].line == 3 and "'question' is missing" in reading.problems[0].what
    with pytest.raises(DataError, match="no column 'utterence'"):
        read_examples(path, columns={"question": "utterence"}, format="questions")


def test_a_stray_quotation_mark_costs_one_row(tmp_path: Path) -> None:
    good = [f"q{number},a{number}" for number in range(50)]
    good[10] = 'the "open one,a10'
    good[20] = '"never closed,a20'
    good[30] = "one,two,three"
    reading = read_examples(write(tmp_path, "\n".join(["question,answer", *good]), "rows.csv"))
    assert len(reading.examples) == 48
    assert [problem.line for problem in reading.problems] == [22, 32]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.text(min_size=1)), min_size=1, max_size=5
    )
)
def test_any_text_survives_csv(tmp_path: Path, pairs: list[tuple[str, str]]) -> None:
    pairs = [(f"{number} {ask}", f"a {reply}".encode(errors="replace").decode()) for number, (ask, reply) in enumerate(pairs)]
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([("question", "answer"), *pairs])
    found = read_examples(write(tmp_path, buffer.getvalue(), "rows.csv")).examples
    assert [(one.question, one.answers[0]) for one in found] == pairs


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    rows = [{"messages": OPENAI["messages"]}, {"messages": []}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    reading = read_examples(path)
    assert [one.answers for one in reading.examples] == [("Hello.",), ("Oslo.",)]
    assert reading.problems[0].line == 2 and "empty list" in reading.problems[0].what
    with pytest.raises(DataError, match="no Parquet file"):
        read_examples(write(tmp_path, b"PAR1 no", "torn.parquet"))


def test_one_bad_element_of_a_list_loses_no_other(tmp_path: Path) -> None:
    rows = [{"instruction": f"Say {number}.", "output": f"{number}"} for number in range(5)]
    pretty = json.dumps(rows, indent=1).replace('"Say 2."', '"Say 2.')
    compact = json.dumps(rows).replace('"Say 2."', "Say 2.")
    for text, line in ((pretty, 10), (compact, 1), (pretty.rstrip("]\n"), 10)):
        reading = read_examples(write(tmp_path, text, "rows.json"))
        assert [one.answers[0] for one in reading.examples] == ["0", "1", "3", "4"]
        assert reading.problems[0].line == line and "not JSON" in reading.problems[0].what


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"messages": [{"role": "robot", "content": "x"}]}, "'robot' is no known speaker"),
        ({"messages": [{"role": "user", "content": ""}]}, r"messages\[0\].content is empty"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "a reply to nobody"),
        ({"messages": [{"role": "user", "content": "x"}]}, "says nothing that could be learned"),
        ({"messages": [{"role": "assistant", "tool_calls": [1]}]}, "calls a tool"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "not text"),
        ({"messages": "hello"}, "must be a list of messages, got text"),
        ({"messages": ["hello"]}, "must be an object"),
        ({"conversations": [{"from": "human", "value": 3}]}, "must be text, got a number"),
        ({"instruction": "x", "output": " "}, "output is empty"),
        ({"instruction": "x", "output": "y", "history": [["a"]]}, r"history\[0\] must be a pair"),
        ({"prompt": "x", "completion": None}, "completion must be text, got null"),
        ({"subject": "", "resolution": "x"}, "tells no problem"),
        ({"subject": "x", "comments": "none"}, "'comments' must be a list"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: dict[str, object], what: str) -> None:
    fields = set(row)
    good = next(
        one
        for one in (OPENAI, SHAREGPT, {"instruction": "a", "output": "b"}, {"prompt": "a", "completion": "b"}, TICKET)
        if fields & set(one)
    )
    reading = read_examples(write(tmp_path, lines(good) + "{nonsense\n" + lines(row)))
    assert [problem.line for problem in reading.problems] == [2, 3] and reading.examples
    assert re.search(what, reading.problems[1].what)


def test_files_that_say_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_examples(tmp_path / "none.csv")
    with pytest.raises(DataError, match="its ending says no format"):
        read_examples(write(tmp_path, "x", "rows.txt"))
    with pytest.raises(DataError, match="no known format"):
        read_examples(write(tmp_path, lines({"a": 1, "b": 2})))
    with pytest.raises(UsageError, match="Formats: questions"):
        read_examples(write(tmp_path, lines({"a": 1})), format="chatml")
    with pytest.raises(DataError, match="holds no rows"):
        read_examples(write(tmp_path, "question,answer\n", "rows.csv"), format="questions")
    with pytest.raises(DataError, match="two have the same"):
        read_examples(write(tmp_path, "a,a\n1,2\n", "rows.csv"))
    with pytest.raises(DataError, match="The first problem: a row must be an object"):
        read_examples(write(tmp_path, "[1, 2]\n"), format="alpaca")
    assert set(FORMATS) == {"questions", "openai", "sharegpt", "alpaca", "pairs", "tickets", "messages"}
