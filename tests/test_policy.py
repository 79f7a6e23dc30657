from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from groundtune.access.policy import Policy, sidecar_of
from groundtune.config import Access, AccessRule
from groundtune.types import EVERYONE, LOCAL, NOBODY, Audience

RULES = (
    AccessRule(match="hr/drafts/**", read=()),
    AccessRule(match="hr/**", read=(("staff",), ("hr", "board")), deny=("intern",)),
    AccessRule(match="**/*.md", read=((EVERYONE,),)),
)
POLICY = Policy.from_config(Access(rules=RULES))
HR = Audience(frozenset({frozenset({"staff"}), frozenset({"hr", "board"})}), frozenset({"intern"}))


@pytest.mark.parametrize(
    ("document", "audience", "origin"),
    [
        ("hr/pay.md", HR, "rule 2"),
        ("hr/2024/pay.docx", HR, "rule 2"),
        ("hr/drafts/pay.md", NOBODY, "rule 1"),
        ("faq.md", Audience.of(EVERYONE), "rule 3"),
        ("a/b/faq.md", Audience.of(EVERYONE), "rule 3"),
        ("a/b/faq.pdf", NOBODY, ""),
        ("HR/pay.txt", NOBODY, ""),
    ],
)
def test_the_first_rule_that_matches_applies(document: str, audience: Audience, origin: str) -> None:
    ruling = POLICY.ruling(document)
    assert (ruling.audience, ruling.origin, ruling.problem) == (audience, origin, "")
    assert POLICY.audience_for(document) == audience


def test_no_rule_is_nobody_and_single_is_local() -> None:
    assert Policy.from_config(Access()).audience_for("a.md") == NOBODY
    assert Policy.from_config(Access(single=True)).audience_for("a.md") == Audience.of(LOCAL)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("rule_form", ["NFC", "NFD"])
def test_both_spellings_of_an_accent_meet_the_same_rule(form: str, rule_form: str) -> None:
    narrow = AccessRule(match=unicodedata.normalize(rule_form, "Gehälter/**"), read=(("hr",),))
    policy = Policy((narrow, AccessRule(match="**", read=((EVERYONE,),))))
    assert policy.audience_for(unicodedata.normalize(form, "Gehälter/März.md")) == Audience.of("hr")


def test_a_sidecar_beats_the_rules(tmp_path: Path) -> None:
    path = tmp_path / "faq.md"
    assert POLICY.audience_for("faq.md", path) == Audience.of(EVERYONE)
    assert sidecar_of(path) == tmp_path / "faq.md.access.toml"
    sidecar_of(path).write_text('read = ["legal"]\ndeny = ["guest"]\n')
    assert POLICY.audience_for("faq.md", path) == Audience.of("legal", denied=("guest",))
    assert POLICY.ruling("faq.md", path).origin == "sidecar"
    sidecar_of(path).write_text("read = []\n")
    assert POLICY.audience_for("faq.md", path) == NOBODY
    assert Policy(single=True).audience_for("faq.md", path) == Audience.of(LOCAL)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"read = ['a'", ":1"),
        (b"\nraed = ['a']", ":1"),
        (b"read = ['a']\ndenny = ['b']", "'deny'"),
        (b"read = 'a'", "read: expected a list"),
        (b"read = [3]", "read: expected a principal"),
        (b"deny = ['a']", "lacks the key 'read'"),
        (b"", "lacks the key 'read'"),
        (b"match = '**'\nread = ['a']", "unknown key 'match'"),
        (b"read = ['\xff']", "UTF-8"),
    ],
)
def test_a_malformed_sidecar_lets_nobody_read_and_is_named(tmp_path: Path, content: bytes, named: str) -> None:
    path = tmp_path / "faq.md"
    sidecar_of(path).write_bytes(content)
    ruling = POLICY.ruling("faq.md", path)
    assert (ruling.audience, ruling.origin) == (NOBODY, "sidecar")
    assert str(sidecar_of(path)) in ruling.problem and named in ruling.problem and "nobody may read faq.md" in ruling.problem


def test_a_sidecar_that_cannot_be_opened_lets_nobody_read(tmp_path: Path) -> None:
    folder, dangling, loop = tmp_path / "a.md", tmp_path / "b.md", tmp_path / "c.md"
    sidecar_of(folder).mkdir()
    sidecar_of(dangling).symlink_to(tmp_path / "gone.toml")
    sidecar_of(loop).symlink_to(sidecar_of(loop))
    for path in (folder, dangling, loop):
        ruling = POLICY.ruling(path.name, path)
        assert ruling.audience == NOBODY and str(sidecar_of(path)) in ruling.problem


def test_a_name_too_long_for_a_sidecar_has_none(tmp_path: Path) -> None:
    name = "x" * 250 + ".md"
    assert POLICY.ruling(name, tmp_path / name).origin == "rule 3"
