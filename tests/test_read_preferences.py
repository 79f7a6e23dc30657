"""Files of preferences: every form of a row, every fault with its line, and who may see what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from groundtune.dataset.preferences import Rated, read_preferences
from groundtune.errors import DataError, NotFound
from groundtune.training.data import rated_pairs
from groundtune.types import Audience, Caller, Evidence, Message

SAID = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes?"}, {"role": "user", "content": "when?"}]


def read(folder: Path, *rows: Any, pairs: bool = True) -> Any:
    path = folder / "preferences.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return read_preferences(path, pairs=pairs)


def test_forms_of_a_pair(tmp_path: Path) -> None:
    sharegpt = {
        "conversations": [
            {"from": "human", "value": "hi"},
            {"from": "gpt", "value": "yes?"},
            {"from": "human", "value": "when?"},
        ],
        "chosen": {"from": "gpt", "value": "now"},
        "rejected": {"from": "gpt", "value": "never"},
    }
    reading = read(
        tmp_path,
        {"id": "a", "prompt": "when?", "chosen": "now", "rejected": "never", "principals": ["staff"]},
        {"messages": SAID, "chosen": "now", "rejected": "never", "evidence": [{"document": "d.md", "quote": "now"}]},
        sharegpt,
    )
    plain, chat, shared = reading.rows
    assert reading.problems == ()
    assert (plain.example.id, plain.example.question, plain.example.history) == ("a", "when?", ())
    assert (plain.answer, plain.rejected, plain.example.principals) == ("now", "never", ("staff",))
    assert chat.example.history == (Message("user", "hi"), Message("assistant", "yes?"))
    assert chat.example.evidence == (Evidence("d.md", "now"),)
    assert (shared.example.question, shared.example.history) == (chat.example.question, chat.example.history)
    assert plain.example.origin.endswith("preferences.jsonl:1")


def test_forms_of_a_thumb(tmp_path: Path) -> None:
    chat = {"messages": [*SAID, {"role": "assistant", "content": "now"}], "label": False}
    path = tmp_path / "array.json"
    path.write_text(json.dumps([{"prompt": "when?", "completion": "now", "label": True}, chat]), encoding="utf-8")
    liked, disliked = read_preferences(path, pairs=False).rows
    assert (liked.answer, liked.liked, liked.example.answers) == ("now", True, ("now",))
    assert (disliked.answer, disliked.liked, disliked.example.answers) == ("now", False, ())
    assert (disliked.example.question, len(disliked.example.history)) == ("when?", 2)


@pytest.mark.parametrize(
    ("row", "pairs", "said"),
    [
        ("{", True, "not JSON"),
        ("[1]", True, "must be an object"),
        ({"chosen": "a", "rejected": "b"}, True, "'prompt' (a text) or 'messages'"),
        ({"prompt": "q", "chosen": "a"}, True, "'rejected' must be a text"),
        ({"prompt": "q", "chosen": "a", "rejected": "a"}, True, "the same answer"),
        ({"prompt": "q", "chosen": " ", "rejected": "b"}, True, "'chosen' must be a text"),
        ({"messages": [{"role": "robot", "content": "q"}], "chosen": "a", "rejected": "b"}, True, "must have a role"),
        ({"messages": SAID[:2], "chosen": "a", "rejected": "b"}, True, "end with a turn of the user"),
        ({"prompt": "q", "completion": "a", "label": "yes"}, False, "'label' must be true or false"),
        ({"prompt": "q", "label": True}, False, "'completion' must be a text"),
        ({"prompt": "q", "chosen": "a", "rejected": "b", "principals": "staff"}, True, "'principals' must be a list"),
        ({"prompt": "q", "chosen": "a", "rejected": "b", "evidence": ["d"]}, True, "'evidence' must be a list of objects"),
    ],
)
def test_a_bad_row_is_named_and_loses_no_good_one(tmp_path: Path, row: Any, pairs: bool, said: str) -> None:
    good = {"prompt": "good", "chosen": "a", "rejected": "b"} if pairs else {"prompt": "good", "completion": "a", "label": True}
    reading = read(tmp_path, good, row, good, pairs=pairs)
    assert [one.example.question for one in reading.rows] == ["good"]
    first, double = reading.problems
    assert (first.line, double.line) == (2, 3)
    assert said in str(first)
    assert "occurs before" in str(double)
    with pytest.raises(DataError, match=r"preferences\.jsonl:1"):
        read(tmp_path, row, pairs=pairs)


def test_a_missing_or_empty_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"Correct tuning\.data"):
        read_preferences(tmp_path / "none.jsonl", pairs=True)
    with pytest.raises(DataError, match="it is empty"):
        read(tmp_path, "")


def test_rows_follow_the_audience_and_never_tell_what_will_be_asked(tmp_path: Path) -> None:
    reading = read(
        tmp_path,
        {"id": "open", "prompt": "when?", "chosen": "now", "rejected": "never", "principals": ["staff"]},
        {"id": "boss", "prompt": "pay?", "chosen": "much", "rejected": "no", "principals": ["boss"]},
        {"id": "nobody", "prompt": "why?", "chosen": "so", "rejected": "no"},
        {"id": "asked", "prompt": "  HOW many?", "chosen": "two", "rejected": "no", "principals": ["staff"]},
    )
    made = rated_pairs(
        reading,
        users=[Caller.of("staff")],
        audience_of=lambda example: Audience(frozenset(frozenset({one}) for one in example.principals)),
        render=lambda example, hits: (Message("user", example.question),),
        withheld={"how many?"},
    )
    assert [(pair.id, pair.answer, pair.rejected) for pair in made.pairs] == [("open", "now", "never")]
    assert (made.unreadable, made.withheld) == (("boss", "nobody"), ("asked",))
    assert made.audience == Audience.of("staff")
    assert isinstance(reading.rows[0], Rated)
