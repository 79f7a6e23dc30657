"""`search --explain`: every stage, and for each way in which evidence can be missed, that way."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest

import groundtune
from groundtune.cli.main import run
from groundtune.errors import NotFound, UsageError
from groundtune.types import Evidence, Filter

CONFIG = """\
model = "fake:extract"
embedder = "fake:hash"
[index]
backend = "sqlite"
[access]
questions = ["staff"]
[[access.rules]]
match = "board/**"
read = ["board"]
[[access.rules]]
match = "**"
read = ["staff"]
[retrieval]
depth = 4
"""
RULES = "The holiday rules of this house say that every employee has thirty days of holiday in each year of work."


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("firm")
    documents = root / "documents"
    (documents / "board").mkdir(parents=True)
    texts = {f"filler{number:02}.md": f"# Filler {number}\n\nA holiday remark, number {number}." for number in range(30)}
    texts |= {
        "old.md": f"# Rules\n\n{RULES}",
        "new.md": f"# Rules\n\n{RULES}",
        "far.md": "# Parking\n\nThe garage opens at six.",
        "board/plan.md": "# Plan\n\nThe holiday fund is sold.",
    }
    for name, text in texts.items():
        (documents / name).write_text(text)
        os.utime(documents / name, (1_700_000_000, 1_700_000_000 + (name == "new.md")))
    question = {"id": "q1", "question": "holiday rules", "answers": ["thirty days"], "principals": ["staff"]}
    question["evidence"] = [{"document": "old.md", "quote": "thirty days of holiday"}]
    (root / "questions.jsonl").write_text(json.dumps(question) + "\n")
    (root / "groundtune.toml").write_text(CONFIG)
    groundtune.sync(root)
    return root


def fate(
    root: Path, document: str, quote: str, *, query: str = "holiday rules", k: int = 2, **options: object
) -> tuple[str, str]:
    explained = groundtune.explain_search(
        query, root=root, principals=("staff",), k=k, evidence=[Evidence(document, quote)], **options
    )
    (missed,) = explained.evidence
    return missed.stage, missed.why


def test_every_way_to_miss_has_its_name(root: Path) -> None:
    assert fate(root, "new.md", "thirty days of holiday") == ("found", "at place 1")
    stage, why = fate(root, "old.md", "thirty days of holiday")
    assert stage == "collapsed"
    assert "new.md#" in why
    assert fate(root, "old.md", "forty days")[0] == "quote not in the text"
    assert fate(root, "old.md", "thirty days", filter=Filter(paths=("far*",)))[0] == "filtered out"
    stage, why = fate(root, "far.md", "opens at six")
    assert stage == "not retrieved"
    assert "the best 8 of each are fused" in why
    stage, why = fate(root, "filler00.md", "holiday remark", k=1)
    assert stage == "outranked"
    assert "1 are shown" in why
    assert fate(root, "none.md", "x")[0] == "not there"


def test_an_older_edition_that_took_the_place_is_named(tmp_path: Path) -> None:
    """Both editions hold the question's words, and the newer says more: BM25 prefers the shorter, older one."""
    texts = {"2024.md": f"# Rules\n\n{RULES}", "2026.md": f"# Rules\n\n{RULES} Since May it is thirty-two."}
    texts["other.md"] = "# Rules\n\nThe holiday rules of the garden are short."
    (tmp_path / "documents").mkdir()
    for name, text in texts.items():
        (tmp_path / "documents" / name).write_text(text)
        os.utime(tmp_path / "documents" / name, (1_700_000_000, 1_700_000_000 + (name == "2026.md")))
    (tmp_path / "groundtune.toml").write_text(CONFIG + "vector_weight = 0\n")
    groundtune.sync(tmp_path)
    query = "employee has days of holiday in each year"
    stage, why = fate(tmp_path, "2026.md", "thirty-two", query=query, k=1)
    assert stage == "outranked"
    triples = 19, 19 + 6  # of 21 words, heading included, and of six more
    share = math.floor(100 * triples[0] / triples[1]) / 100
    assert why.endswith(
        f"2024.md#0-{len(texts['2024.md'])} of an older document shares {100 * share:.0f} % of its word triples: "
        f"with near_duplicate = {share:g} the newer stands for it"
    )
    assert "older" not in fate(tmp_path, "2026.md", "thirty-two", query=f"{query} since", k=1)[1]
    assert "older" not in fate(tmp_path, "other.md", "garden", query=query, k=1)[1]
    config = (tmp_path / "groundtune.toml").read_text()
    (tmp_path / "groundtune.toml").write_text(f"{config}near_duplicate = {share:g}\n")
    assert fate(tmp_path, "2026.md", "thirty-two", query=query, k=1)[0] == "found"


def test_what_may_not_be_read_is_told_apart_from_nothing_for_the_operator_only(root: Path) -> None:
    absent = fate(root, "board/none.md", "fund")
    assert fate(root, "board/plan.md", "fund") == absent
    assert fate(root, "board/plan.md", "fund", operator=True)[0] == "not readable"
    assert fate(root, "board/none.md", "fund", operator=True) == absent
    for operator in (False, True):
        explained = groundtune.explain_search("holiday", root=root, principals=("staff",), operator=operator)
        assert (explained.withheld is not None) == operator
        assert all((step.bm25 is not None) == operator for step in explained.steps if step.text_rank)
        assert not any(step.document.startswith("board/") for step in explained.steps)


def test_steps_and_hits_agree(root: Path) -> None:
    explained = groundtune.explain_search("holiday rules", root=root, principals=("staff",), k=3)
    hits = groundtune.search("holiday rules", root=root, principals=("staff",), k=3)
    assert explained.hits == hits
    assert [step.chunk for step in explained.steps[:3]] == [hit.chunk.id for hit in hits]
    assert [step.place for step in explained.steps if step.place] == list(
        range(1, 1 + sum(1 for step in explained.steps if step.place))
    )
    assert explained.depth == 12
    assert hits[0].metadata["near_duplicates"] == [next(step.chunk for step in explained.steps if step.document == "old.md")]


def test_a_question_brings_its_words_evidence_and_principals(root: Path) -> None:
    explained = groundtune.explain_search(root=root, gold="q1")
    assert explained.question == "holiday rules"
    assert [missed.stage for missed in explained.evidence] == ["collapsed"]
    with pytest.raises(NotFound, match="no question"):
        groundtune.explain_search(root=root, gold="q2")
    with pytest.raises(UsageError, match="nothing to search"):
        groundtune.explain_search(root=root)


def test_filters_hold_in_library_and_command(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def names(**fields: object) -> set[str]:
        hits = groundtune.search("holiday rules", root=root, principals=("staff",), k=9, filter=Filter(**fields))
        return {hit.chunk.document for hit in hits}

    assert names(since=1_700_000_000.5) == {"new.md"}
    assert "new.md" not in names(before=1_700_000_000.5)
    assert names(paths=("far.md", "filler0[12].md")) == {"far.md", "filler01.md", "filler02.md"}
    assert names(title="RULES") == {"new.md"}
    assert names(formats=("pdf",)) == names(sources=("mail",)) == set()
    assert names(formats=("md",), sources=("files",))
    command = [
        "search",
        "holiday rules",
        "-w",
        str(root),
        "--as",
        "staff",
        "--json",
        "--path",
        "filler0*",
        "--since",
        "2020-01-01",
    ]
    assert run(command) == 0
    found = json.loads(capsys.readouterr().out)["hits"]
    assert found
    assert all(hit["chunk"]["document"].startswith("filler0") for hit in found)
    assert run([*command[:-4], "--path", "a\\b"]) == 2
    assert "backslash" in capsys.readouterr().out


def test_the_command_prints_stages_and_evidence(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["search", "-w", str(root), "--as", "staff", "--explain"]
    assert run([*base, "--gold", "q1", "--evidence", "far.md=opens at six", "--operator"]) == 0
    printed = capsys.readouterr()
    assert 'evidence: old.md: "thirty days of holiday"' in printed.out
    assert "BM25" in printed.out
    assert "the final check took 0 away" in printed.err
    assert run([*base, "--evidence", "nothing", "x"]) == 2
    assert run(["search", "x", "-w", str(root), "--gold", "q1"]) == 2
