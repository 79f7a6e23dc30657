"""The benchmark of freshness on worlds small enough to know: what is edited, what is asked, and how it is summed up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks import freshness
from benchmarks.cells import Cell, Done
from benchmarks.freshness_cells import measure, show, workspace
from benchmarks.freshness_figures import doses, figures_of, overtaking, price, robustness, rows_of
from benchmarks.freshness_report import BEGIN, END, write_page
from benchmarks.freshness_worlds import Worlds, company_worlds, edit_rows
from benchmarks.harness import Figure
from groundtune.company import generate
from groundtune.types import Score

THINGS = ("kettle", "ladder", "printer", "projector", "scanner", "trolley", "vacuum", "wagon")


def firm() -> tuple[list[dict[str, Any]], dict[str, str]]:
    rows: list[dict[str, Any]] = []
    texts = {}
    for number, thing in enumerate(THINGS):
        weighs, costs = f"The {thing} weighs {number + 13} kg.", f"The {thing} costs {number + 40} EUR and more."
        texts[f"{thing}.md"] = f"# The {thing}\n\n## Weight\n\n{weighs}\n\n## Price\n\n{costs}\n"
        for name, quote, value in (("weigh", weighs, f"{number + 13} kg"), ("cost", costs, f"{number + 40} EUR")):
            rows.append(
                {
                    "id": f"{thing}-{name}",
                    "question": f"What does the {thing} {name}?",
                    "answers": [value],
                    "evidence": [{"document": f"{thing}.md", "quote": quote}],
                }
            )
    rows.append({"id": "none", "question": "Which anthem do dolphins hum?", "answers": [], "evidence": []})
    return rows, texts


def test_facts_are_edited_where_they_stand_and_nowhere_else() -> None:
    rows, texts = firm()
    worlds = edit_rows(rows[:-1], texts)
    assert worlds.changes.keys() == {row["id"] for row in rows[:-1]} and not worlds.kept
    for row in worlds.rows[1]:
        change = worlds.changes[row["id"]]
        text = worlds.documents[1][row["evidence"][0]["document"]].decode()
        assert row["answers"] == [change.new] and row["evidence"][0]["quote"] in text and change.new in text
    assert worlds.documents[0] == {name: text.encode() for name, text in texts.items()}


def test_a_question_whose_evidence_another_edit_touched_is_asked_of_nobody() -> None:
    rows, texts = firm()
    double = rows[0] | {"id": "double"}
    sentence = rows[0] | {"id": "sentence", "answers": ["It is so heavy that two people have to lift it."]}
    other = rows[0] | {
        "id": "other",
        "answers": ["The kettle"],
        "evidence": [{"document": "kettle.md", "quote": "# The kettle"}],
    }
    worlds = edit_rows([rows[0], double, sentence, other], texts)
    assert worlds.changes.keys() == {rows[0]["id"]}
    assert worlds.kept == {"other"}


def test_the_generated_company_is_the_same_but_for_its_facts() -> None:
    old, new, some = generate(), generate(edited=1.0), generate(edited=0.3)
    assert generate(edited=0.0) == old
    assert [one.path for one in old.documents] == [one.path for one in new.documents]
    assert [(one.id, one.group, one.kind) for one in old.questions] == [(one.id, one.group, one.kind) for one in new.questions]
    changed = [
        {a.id for a, b in zip(old.questions, one.questions, strict=True) if a.answers != b.answers} for one in (some, new)
    ]
    assert changed[0] < changed[1] and len(changed[1]) > 200, "a larger share edits the same facts and more"
    texts = {one.path: one.text for one in new.documents}
    for one in new.questions:
        assert not any(quote not in texts[path].replace("**", "") for path, quote in one.evidence if " | " not in quote), one.id


def test_the_companys_worlds_ask_the_same_questions() -> None:
    worlds = company_worlds()
    before, after = ({row["id"]: row for row in rows} for rows in worlds.rows)
    assert len(worlds.changes) > 200 and len(worlds.kept) > 40 and not worlds.kept & worlds.changes.keys()
    assert all(before[name] | {"evidence": 0} == after[name] | {"evidence": 0} for name in worlds.kept)
    assert all(before[name]["answers"] != after[name]["answers"] for name in worlds.changes)
    assert worlds.documents[0].keys() == worlds.documents[1].keys()


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> dict[Cell, Done]:
    rows, texts = firm()
    worlds = edit_rows(rows[:-1], texts)
    worlds = Worlds(
        worlds.documents, ((*worlds.rows[0], rows[-1]), (*worlds.rows[1], rows[-1])), worlds.changes, frozenset({"none"})
    )
    root = workspace(
        worlds,
        tmp_path_factory.mktemp("fresh") / "firm",
        settings={"[chunking]": "tokens = 40", "[decision]": "folds = 2"},
        candidates="",
        model="fake:extract",
        embedder="fake:hash",
    )
    return {cell: measure(cell, root, worlds) for cell in (Cell("firm", name) for name in ("tuned", "rag", "rag_tuned"))}


def figures(done: Mapping[Cell, Done]) -> dict[str, Figure]:
    return figures_of(done, tasks=["firm"], candidates=("tuned", "rag", "rag_tuned"))


def test_a_model_that_remembers_is_stale_and_one_that_reads_is_not(done: dict[Cell, Done]) -> None:
    found = figures(done)
    taught = {name: found[f"firm_tuned_taught_{name}"] for name in ("right_unchanged", "right_edited", "stale", "price")}
    assert taught == {"right_unchanged": 1.0, "right_edited": 0.0, "stale": 1.0, "price": 1.0}
    assert found["firm_tuned_held_out_right_unchanged"] == 0
    assert found["firm_rag_taught_right_unchanged"] == found["firm_rag_taught_right_edited"] == 1
    assert found["firm_rag_taught_stale"] == 0
    remembered = found["firm_rag_tuned_taught_stale"]
    assert remembered == found["firm_rag_tuned_taught_right_unchanged"], "it puts what it remembers before what it reads"
    assert isinstance(remembered, float) and 0.8 < remembered < 1, "raft teaches a part to be answered by nothing"
    assert found["firm_rag_over_tuned_taught_words"] == "from the start"
    assert (found["cells_done_count"], found["missing"]) == (3, "")


def test_given_passages_are_followed_or_not(done: dict[Cell, Done]) -> None:
    found = figures(done)
    assert (found["firm_rag_held_out_gold_right"], found["firm_rag_held_out_missing_right"]) == (1, 0)
    assert (found["firm_rag_held_out_wrong_right"], found["firm_rag_held_out_wrong_other"]) == (0, 1)
    right, other = found["firm_rag_held_out_conflicting_right"], found["firm_rag_held_out_conflicting_other"]
    assert isinstance(right, float) and isinstance(other, float) and right + other == 1 and 0 < right < 1
    assert found["firm_rag_tuned_taught_wrong_right"] == found["firm_rag_tuned_taught_gold_right"], "its weights speak"
    assert "firm_tuned_taught_wrong_right" not in found


def test_the_documents_folder_holds_one_world_at_a_time(tmp_path: Path) -> None:
    worlds = Worlds(({"a.md": b"old", "b.md": b"same"}, {"a.md": b"new", "b.md": b"same"}), ((), ()), {}, frozenset())
    (tmp_path / "c.md").write_bytes(b"stray")
    for new in (False, True, False):
        show(worlds, tmp_path, new=new)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == worlds.documents[new]
    kept = (tmp_path / "b.md").stat().st_mtime
    show(worlds, tmp_path, new=True)
    assert (tmp_path / "b.md").stat().st_mtime == kept < (tmp_path / "a.md").stat().st_mtime


def score(condition: str, item: str, right: float, other: float = 0.0) -> Score:
    metrics = {"right": right, "other": other, "abstained": 0.0, "f1": right}
    return Score("x", item, item, f"{condition} taught edited", 0, 0, "", metrics)


def world(before: str, after: str) -> list[Score]:
    """One letter an item: r right, o the other value, - neither."""
    return [
        score(condition, f"q{n:02d}", float(letter == "r"), float(letter == "o"))
        for condition, letters in (("before", before), ("after", after))
        for n, letter in enumerate(letters)
    ]


def test_price_and_doses_by_hand() -> None:
    rows = rows_of(world("rrrrrrrr--", "rroooooo--"))
    found = price(rows, "taught")
    assert [found[name] for name in ("right_unchanged", "right_edited", "stale")] == pytest.approx([0.8, 0.2, 0.6])
    assert found["price"] == pytest.approx(0.6) and found["stale_of_known"] == pytest.approx(0.75)
    assert found["known_count"] == 8 and found["control_count"] == 0
    assert list(doses(rows, "taught").values()) == pytest.approx([0.8, 0.65, 0.5, 0.2])
    assert price(rows, "held_out") == {"edited_count": 0} and not doses(rows, "held_out") and not robustness(rows, "taught")


def test_the_page_shows_every_row_and_what_is_missing(tmp_path: Path, done: dict[Cell, Done]) -> None:
    page, candidates = tmp_path / "page.md", ("tuned", "rag", "domain")
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    write_page(figures_of(done, tasks=["firm"], candidates=candidates), tasks=["firm"], candidates=candidates, path=page)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("after\n") and "old\n" not in text
    assert "| firm | `rag` | learned from |" in text and "Not measured yet: firm-domain." in text


def test_retrieval_overtakes_where_the_two_lines_cross() -> None:
    tuned, rag = rows_of(world("rrrrrrrr--", "oooooooo--")), rows_of(world("rrrrrr----", "rrrrrr----"))
    found = overtaking(tuned, rag, "taught", name="x")
    assert found["x_share"] == pytest.approx(0.25), ".8 (1 - s) = .6"
    assert overtaking(rag, tuned, "taught", name="x")["x_share"] is None
    assert overtaking(rows_of(world("r---------", "r---------")), rag, "taught", name="x")["x_words"] == "from the start"
    assert overtaking(rag, rag, "taught", name="x")["x_words"] == "not with every fact edited"


def test_the_most_telling_cells_come_first() -> None:
    names = [f"{cell.setting}-{cell.candidate}" for cell in freshness.cells()]
    assert names[:3] == ["company-tuned", "company-rag", "company-rag_tuned"] and names[-1] == "handbook-domain"
    assert len(set(names)) == 12
