"""Personal data and secrets in text: what is found where, and what is not taken for it; no test may ask the network."""

from __future__ import annotations

import re

import pytest

from groundtune.dataset.extra import extra
from groundtune.dataset.names import LIKELY, capitalised, is_address_or_firm
from groundtune.dataset.near import NearDuplicates, WordRuns, normal, resemblance, runs_of_characters
from groundtune.dataset.personal import KINDS, is_card, is_iban, may_be_phone, personal_data
from groundtune.dataset.secrets import secrets_in
from groundtune.dataset.spans import Found, disjoint, replaced
from groundtune.errors import MissingExtra


def test_each_kind_is_found_at_its_place() -> None:
    """Numbers that the standards themselves give as examples: ISO 13616, the test cards, RFC 5737, E.164 fiction ranges."""
    texts = {
        "IBAN_CODE": ("Pay to gb82 WEST 1234 5698 7654 32 now.", "gb82 WEST 1234 5698 7654 32"),
        "CREDIT_CARD": ("Card 4111 1111 1111 1111, please", "4111 1111 1111 1111"),
        "IP_ADDRESS": ("Server 192.0.2.17 is down.", "192.0.2.17"),
        "EMAIL_ADDRESS": ("Write to kim.lee@example.com today.", "kim.lee@example.com"),
        "PHONE_NUMBER": ("Call +44 20 7946 0958 x12 or wait.", "+44 20 7946 0958 x12"),
        "US_SSN": ("My SSN is 536-22-4871.", "536-22-4871"),
        "PERSON": ("My name is Ubul and I wait.", "Ubul"),
        "US_DRIVER_LICENSE": ("My driver's license number is 2270-66-1551.", "2270-66-1551"),
        "STREET_ADDRESS": ("Send it to 12 High Street, Apt 4 please.", "12 High Street, Apt 4"),
        "URL": ("See https://www.example.com/a for it.", "https://www.example.com/a"),
    }
    found = personal_data([text for text, _ in texts.values()], kinds=KINDS)
    for (kind, (text, wanted)), spans in zip(texts.items(), found, strict=True):
        assert (kind, wanted) in [(one.kind, text[one.start : one.end]) for one in spans], (kind, spans)


def test_what_looks_like_it_and_is_none() -> None:
    texts = ["The build of 2024-01-31 took 1234567 ms.", "Version 10.2 costs 1,234,567.", "Between 2019-2023 it grew.", ""]
    assert personal_data(texts, kinds=[kind for kind in KINDS if kind not in ("PERSON", "LOCATION")]) == [[]] * 4
    assert personal_data(["kim.lee@example.com"], kinds=()) == [[]]


def test_names_that_the_model_does_not_know() -> None:
    texts = {
        "Please ask Zsuzsanna Wiktorowska about the invoice.": "Zsuzsanna Wiktorowska",
        "yesterday desrosiers called about the companies": "desrosiers",
        "They moved to 12 Wiktorowska last year.": "",
        "We bought it from Wiktorowska Ltd last year.": "",
        "Please Ask About The Invoice.": "",
        "It runs on FooLab and [Wiktorowska](/a).": "",
    }
    found = personal_data(list(texts), kinds=["PERSON"], sure=LIKELY)
    for (text, wanted), spans in zip(texts.items(), found, strict=True):
        assert [text[one.start : one.end] for one in spans] == ([wanted] if wanted else []), text


def test_an_address_or_a_firm_is_nobody() -> None:
    text = "at 12 Maple, Maple 7, Maple Road, Maple Ltd, Maple\n7 and Maple too"
    places = [found.span() for found in re.finditer("Maple(?: Road)?", text)]
    assert [is_address_or_firm(text, *place) for place in places] == [True, True, True, True, False, False]
    assert capitalised("hanna's straße ŉ, o'neil") == "Hanna's Straße ŉ, O'Neil"


def test_check_digits() -> None:
    assert is_card("4111111111111111") and is_card("378282246310005") and not is_card("4111111111111112")
    assert is_iban("DE89 3704 0044 0532 0130 00") and not is_iban("DE89 3704 0044 0532 0130 01")
    assert may_be_phone("020 7946 0958") and not may_be_phone("31.12.2024") and not may_be_phone("192.0.2.17")


def test_spans_are_disjoint_and_replaced() -> None:
    found = [Found(0, 5, "A", 0.5), Found(3, 9, "B", 0.9), Found(9, 11, "C", 0.1), Found(3, 6, "D", 0.9)]
    assert disjoint(found) == [Found(3, 9, "B", 0.9), Found(9, 11, "C", 0.1)]
    assert replaced("0123456789abc", disjoint(found)) == "012<B><C>bc"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("use " + "ghp_" + "a1B2" * 9, "GitHub Token"),
        ("use " + "github_pat_" + "A" * 22 + "_" + "b" * 59, "GitHub fine-grained token"),
        ("key " + "AIza" + "Sy" + "x1_-" * 8 + "z", "Google API key"),
        ("-----BEGIN " + "RSA PRIVATE KEY-----\nMIIB", "Private Key"),
        ("db at postgres://app:" + "s3cr3tpw@db/x", "Basic Auth Credentials"),
        ("The password: " + "hunter2x", "password"),
    ],
)
def test_secrets_by_their_formats(text: str, kind: str) -> None:
    assert [one.kind for one in secrets_in(text)] == [kind]


def test_prose_about_secrets_holds_none() -> None:
    texts = (
        "Passwords: use at least twelve characters, and change the secret key each 90 days.",
        "The commit 9fceb02d0ae598e95dc970b74767f19372d61af8 fixes it; see 123e4567-e89b-12d3-a456-426614174000.",
    )
    assert [secrets_in(text) for text in texts] == [[], []]


def test_near_duplicates_are_counted_exactly() -> None:
    one, other = runs_of_characters("abcdefg"), runs_of_characters("ABCDEF, h")
    assert one == {"abcde", "bcdef", "cdefg"} and resemblance(one, other) == pytest.approx(2 / 5)
    index = NearDuplicates()
    index.add("a", "The kettle stands in the attic of the old house.")
    assert index.like("the kettle stands in the attic of the old house")[0] == ("a", 1.0)
    assert index.like("the ladder leans at the wall of the new barn") == []
    index.add("n", "Plan 3 costs 5 million in a year")
    assert index.like("Plan 4 costs 5 million in a year") == [] and index.like("plan 3 costs 5 million in a year!")


def test_runs_of_words() -> None:
    long = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    runs = WordRuns({"long": [long], "short": ["a question of eight words is long enough"], "tiny": ["too short"]})
    assert runs.repeated_by("x TWO three, four five six seven eight nine ten eleven twelve thirteen fourteen y") == "long"
    assert runs.repeated_by("two three four five six seven eight nine ten eleven twelve thirteen") == ""
    assert runs.repeated_by(f"well {normal('A question of eight words is long enough')}!") == "short"
    assert runs.repeated_by("this is too short") == ""


def test_a_missing_package_is_named_with_its_extra() -> None:
    with pytest.raises(MissingExtra, match="dataset") as caught:
        extra("no_such_package", wanted_by="finding nothing")
    assert caught.value.package == "no_such_package"
