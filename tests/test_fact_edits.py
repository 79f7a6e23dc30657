"""groundtune.decision.fact_edits and given_context: a fact becomes another of its kind, and only where it is stated."""

from __future__ import annotations

import re
from datetime import date

import pytest

from groundtune.decision.fact_edits import another, replaced, tells
from groundtune.decision.given_context import edited_hits
from groundtune.types import Chunk, Evidence, Example, Hit

NAMES = ("Ada Lovelace", "Grace Hopper", "Mermaid", "#legal", "#help", "help@firm.example", "team", "Room 7")


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ("14 days", r"\d\d days"),
        ("$1,200", r"\$\d,200"),
        ("7:30", r"\d:30"),
        ("50%", r"\d\d%"),
        ("0.5 mm", r"\d\.5 mm"),
        ("seven", r"two|three|four|five|six|eight|nine|ten"),
        ("15 March 2026", r"15 (?!March)[A-Z][a-z]+ 2026"),
        ("2019", r"20\d\d"),
        ("Alan Turing", r"Ada Lovelace|Grace Hopper"),
        ("#finance", r"#legal|#help"),
        ("pay@firm.example", r"help@firm\.example"),
        ("Champion", r"Mermaid"),
        ("director", r"team"),
    ],
)
def test_another_value_is_of_the_same_kind_and_the_same_each_time(value: str, shape: str) -> None:
    for key in ("a", "b", "c", "d"):
        made = another(value, key=key, names=NAMES)
        assert made is not None and made != value and re.fullmatch(shape, made), made
        assert made == another(value, key=key, names=tuple(reversed(NAMES)))


def test_an_iso_date_becomes_another_date() -> None:
    made = another("by 2026-02-27", key="x")
    assert made is not None and made.startswith("by ")
    assert date.fromisoformat(made[3:]) != date(2026, 2, 27)


@pytest.mark.parametrize("value", ["", "a sentence of seven words is none", "Nobody Like Her"])
def test_what_has_no_other_of_its_kind_is_left_alone(value: str) -> None:
    assert another(value, key="x", names=("2019", "#legal")) is None


def test_only_whole_words_are_replaced() -> None:
    assert replaced("2 of 12 rooms, 2.", "2", "7") == "7 of 12 rooms, 7."
    assert replaced("12 rooms", "2", "7") is None
    assert replaced(r"pay \1 now", r"\1", r"\2") == r"pay \2 now", "no group of a pattern"


def test_an_answer_tells_a_value_with_or_without_its_unit() -> None:
    assert tells("You get 24 days.", "24 days") and tells("24", "24 days") and tells("24 d.", "24 days")
    assert not tells("240", "24 days") and not tells("days", "24 days") and not tells("", "24 days")
    assert not tells("24", "24 March 2026"), "a day alone is no date"


def test_a_passage_is_edited_in_its_evidence_alone() -> None:
    text = "It weighs 4 kg. Two lift it. The other weighs 4 kg."
    hit = Hit(Chunk("scale.md#100-151", "scale.md", text, 100, 151), "Scale", 1.0)
    quote = "It weighs 4 kg."
    example = Example("q", "What does it weigh?", ("4 kg",), evidence=(Evidence("scale.md", quote, ((100, 115),)),))
    (made,) = edited_hits(example, [hit], old="4 kg", new="9 kg") or []
    assert made.chunk.text == "It weighs 9 kg. Two lift it. The other weighs 4 kg."
    assert made.chunk.id != hit.chunk.id
    assert edited_hits(example, [hit], old="5 kg", new="9 kg") is None
    assert edited_hits(example, [], old="4 kg", new="9 kg") is None
