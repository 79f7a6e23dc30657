"""Answers that must be JSON, fit a schema, or hold the slots of a meaning representation."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from groundtune.errors import ConfigError
from groundtune.scoring import metric
from groundtune.scoring.meaning import parse_meaning
from groundtune.scoring.settings import Settings
from groundtune.scoring.structure import json_valid, slot_f1, slots, structure_exact
from groundtune.types import Answer, Example

ITEM = Example("q1", "As JSON?", ('{"city": "Oslo"}',))


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ('{"city": "Bergen"}', 1),
        ("[1, 2]", 1),
        (" 3 \n", 1),
        ("", 0),
        ("{'city': 'Oslo'}", 0),
        ('```json\n{"city": 1}\n```', 0),
        ('{"a": NaN}', 0),
        ('{"a": 1, "a": 2}', 0),
        ('{"a": 1} thanks', 0),
        ("[" * 200_000, 0),
        ("1" * 10_000, 0),
    ],
)
def test_the_whole_answer_is_one_json_value(said: str, value: float) -> None:
    assert json_valid(ITEM, Answer(said)) == value


@pytest.mark.parametrize("answers", [(), ("Oslo",), ("42",), ('"Oslo"',)])
def test_it_does_not_apply_where_no_reference_is_structured(answers: tuple[str, ...]) -> None:
    assert json_valid(Example("q1", "Where?", answers), Answer("{}")) is None


# --- schemas ------------------------------------------------------------------------------------------------------------

SCHEMA = {
    "type": "object",
    "required": ["city"],
    "additionalProperties": False,
    "properties": {"city": {"type": "string"}, "people": {"$ref": "#/$defs/count"}},
    "$defs": {"count": {"type": "integer", "minimum": 0}},
}


def schema_file(folder: Path, schema: object) -> Settings:
    path = folder / "answer.schema.json"
    path.write_text(schema if isinstance(schema, str) else json.dumps(schema))
    return Settings(json_schema=path)


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ('{"city": "Oslo"}', 1),
        ('{"city": "Oslo", "people": 3}', 1),
        ('{"city": "Oslo", "people": -3}', 0),
        ('{"city": 4}', 0),
        ('{"town": "Oslo"}', 0),
        ('{"city": "Oslo"} ', 1),
        ('```{"city": "Oslo"}```', 0),
        ("", 0),
        ("[" * 200_000, 0),
    ],
)
def test_an_answer_must_fit_the_schema(tmp_path: Path, said: str, value: float) -> None:
    fits = metric("json_schema", settings=schema_file(tmp_path, SCHEMA))
    assert fits(ITEM, Answer(said)) == value


def test_a_schema_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"scoring\.json_schema"):
        metric("json_schema")
    for text in ("{", '{"type": "nothing"}', '{"type": 3}'):
        with pytest.raises(ConfigError, match=r"answer\.schema\.json"):
            metric("json_schema", settings=schema_file(tmp_path, text))
    with pytest.raises(ConfigError, match="absent"):
        metric("json_schema", settings=Settings(json_schema=tmp_path / "absent.json"))


def test_a_schema_is_never_fetched(tmp_path: Path) -> None:
    fits = metric("json_schema", settings=schema_file(tmp_path, {"$ref": "http://127.0.0.1:9/other.json"}))
    with pytest.raises(ConfigError, match="refers"):
        fits(ITEM, Answer("{}"))


# --- slots --------------------------------------------------------------------------------------------------------------

MEANING = Example("q2", "?", ("inform(name[Portal 2], genres[puzzle, shooter], has_linux_release[no])",))


@pytest.mark.parametrize(
    ("said", "exact", "overlap"),
    [
        ("inform(name[Portal 2], genres[puzzle, shooter], has_linux_release[no])", 1, 1),
        ("inform( genres[shooter, Puzzle],name[portal  2], has_linux_release[no] )", 1, 1),
        ("inform(name[Portal 2], genres[puzzle])", 0, 2 * 3 / (3 + 5)),
        ("request(name[Portal 2], genres[puzzle, shooter], has_linux_release[no])", 0, 4 / 5),
        ("inform(name[Portal 2], genres[puzzle, shooter], has_linux_release[yes])", 0, 4 / 5),
        ("inform(name[Portal 2], name[Portal 2])", 0, 2 * 2 / (3 + 5)),
        ("inform(name[Portal 2]", 0, 0),
        ("Portal 2 is a game", 0, 0),
        ("", 0, 0),
    ],
)
def test_slots_by_hand(said: str, exact: float, overlap: float) -> None:
    """The reference has five slots: the act, a name, two genres, a release."""
    assert structure_exact(MEANING, Answer(said)) == exact
    assert slot_f1(MEANING, Answer(said)) == pytest.approx(overlap)


def test_notations() -> None:
    assert parse_meaning("request(specifier[], genres)") == [("act", "request"), ("specifier", ""), ("genres", "")]
    assert parse_meaning("name[The Mill], near[Café (old)]") == [("name", "The Mill"), ("near", "Café (old)")]
    assert parse_meaning("hello() inform(a[1])") == [("act", "hello"), ("act", "inform"), ("a", "1")]
    for text in ("", "word", "a b", "inform(a[1]", "inform(a[[1]])", "a[" * 5000, "x" * 100_000, "a(" * 5000):
        assert parse_meaning(text) is None


def test_slots_of_json_are_paths_to_leaves() -> None:
    assert slots('{"a": {"b": 1, "c": []}, "d": ["X", "y", {"e": null}]}') == Counter(
        [(".a.b", "1"), (".a.c", "[]"), (".d[]", "x"), (".d[]", "y"), (".d[].e", "null")]
    )
    example = Example("q", "?", ('{"a": 1, "b": [1, 2]}',))
    assert structure_exact(example, Answer('{"b": [2, 1], "a": 1}')) == 1
    assert slot_f1(example, Answer('{"a": 2, "b": [1]}')) == pytest.approx(2 / 5)


def test_slots_do_not_apply_without_structured_references() -> None:
    assert slot_f1(Example("q", "?", ("Oslo",)), Answer("name[x]")) is None
    assert structure_exact(Example("q", "?", ()), Answer("", abstained=True)) == 1
    assert structure_exact(Example("q", "?", ()), Answer("name[x]")) == 0
    assert slot_f1(MEANING, Answer(MEANING.answers[0], abstained=True)) == 0
