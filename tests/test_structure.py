"""Answers that must be JSON."""

from __future__ import annotations

import pytest

from groundtune.scoring.structure import json_valid
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
