"""Abstaining: an item's score, and precision and recall over a set."""

from __future__ import annotations

from groundtune.scoring.abstention import AbstentionReport, abstention, abstention_report
from groundtune.types import Answer, Example

ANSWERABLE, UNANSWERABLE = Example("q1", "?", ("x",)), Example("q2", "?", ())
SAYS, ABSTAINS = Answer("x"), Answer("", abstained=True)


def test_an_item() -> None:
    assert [abstention(one, two) for one in (ANSWERABLE, UNANSWERABLE) for two in (SAYS, ABSTAINS)] == [1, 0, 0, 1]


def test_a_set() -> None:
    examples = [ANSWERABLE] * 6 + [UNANSWERABLE] * 4
    answers = [ABSTAINS, *[SAYS] * 5, *[ABSTAINS] * 3, SAYS]
    assert abstention_report(examples, answers) == AbstentionReport(3 / 4, 3 / 4, abstained=4, unanswerable=4, items=10)


def test_nothing_to_count() -> None:
    assert abstention_report([ANSWERABLE], [SAYS]) == AbstentionReport(None, None, abstained=0, unanswerable=0, items=1)
