"""Benchmarks: figures are kept flat and whole, goals say when they are missed, and conversions know their data's faults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from benchmarks import convert_handbook, convert_intents
from benchmarks.figures import figures_of, not_applicable, race_goals, ran
from benchmarks.harness import ROOT, Goal, data_folder, goal, save, table, write_rows
from groundtune.dataset.check import check_evidence
from groundtune.dataset.read import read_questions
from groundtune.dataset.split import assign_groups, split
from groundtune.decision.report import SCHEMA
from groundtune.errors import DataError, NotFound

# --- harness ------------------------------------------------------------------------------------------------------------


def test_save_writes_flat_figures_and_every_goal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    goals = [goal("minutes_total", 21.5, "<=", 20), goal("questions_count", 80, ">=", 60)]
    path = save("demo", {"f1_rag": 1 / 3, "winner": None, "minutes_total": 21.5}, goals, folder=tmp_path / "results")
    record = json.loads(path.read_text())
    assert path.name == "demo.json"
    assert record["f1_rag"] == pytest.approx(1 / 3, abs=1e-6)
    assert record["winner"] is None
    assert record["goals"] == [
        {"name": "minutes_total", "figure": 21.5, "target": "<= 20", "met": False},
        {"name": "questions_count", "figure": 80, "target": ">= 60", "met": True},
    ]
    assert record["commit"]
    assert "cores" in record["machine"]
    assert record["date"].endswith("Z")
    printed = capsys.readouterr().out
    assert "f1_rag" in printed
    assert "NOT MET" in printed


@pytest.mark.parametrize(
    "figures", [{"f1": {"rag": 1}}, {"f1": float("nan")}, {"f1": float("inf")}, {"commit": "mine"}, {"a": [1]}]
)
def test_save_refuses_what_could_not_be_quoted(tmp_path: Path, figures: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="demo"):
        save("demo", figures, [], folder=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("figure", "relation", "target", "met"),
    [
        (20, "<=", 20, True),
        (20.01, "<=", 20, False),
        (50, ">=", 50, True),
        (None, "<=", 5, False),
        (None, "==", None, False),
        (True, "==", True, True),
        (False, "==", True, False),
        (True, ">=", 1, False),
        ("superior", ">=", 1, False),
    ],
)
def test_goals(figure: Any, relation: Any, target: Any, met: bool) -> None:
    assert goal("x", figure, relation, target) == Goal("x", figure, f"{relation} {target}", met)


def test_table_without_figures() -> None:
    assert table("nothing", {}, []).startswith("nothing")


def test_absent_data_name_the_place_and_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDTUNE_DATA", str(tmp_path))
    with pytest.raises(NotFound, match="GROUNDTUNE_DATA") as caught:
        data_folder("kb_gitlab_handbook")
    assert str(tmp_path) in str(caught.value)
    (tmp_path / "kb_gitlab_handbook").mkdir()
    assert data_folder("kb_gitlab_handbook") == tmp_path / "kb_gitlab_handbook"


def test_kept_results_are_flat_and_name_their_goals() -> None:
    for path in sorted((ROOT / "benchmarks" / "results").glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        assert {"commit", "machine", "date", "goals"} <= record.keys(), path.name
        assert all(not isinstance(value, dict | list) for key, value in record.items() if key != "goals"), path.name
        assert all(one.keys() == {"name", "figure", "target", "met"} for one in record["goals"]), path.name


# --- figures of a report ------------------------------------------------------------------------------------------------


def interval(low: float, high: float) -> dict[str, Any]:
    return {"low": low, "high": high, "level": 0.95, "method": "bootstrap"}


def candidate(name: str, *, f1: float = 0.0, reason: str = "") -> dict[str, Any]:
    done = not reason
    return {
        "name": name,
        "model": "fake:echo",
        "recipe": {"name": name},
        "metrics": {"f1": f1} if done else {},
        "intervals": {"f1": interval(f1 - 0.1, f1 + 0.1)} if done else {},
        "items": 40 if done else 0,
        "latency": {"p50": 0.2, "p95": 0.4, "mean": 0.25, "requests": 50} if done else None,
        "cost": {"per_1000_answers": 0.01, "setup": 0.0, "currency": "USD", "basis": "core-hours", "known": True}
        if done
        else None,
        "tokens": {"input_tokens": 300, "output_tokens": 8},
        "abstention": {"precision": 0.5, "recall": 1.0, "abstained": 2, "unanswerable": 1, "items": 10},
        "memory_gb": None,
        "staleness": None,
        "weights": [],
        "not_applicable": reason,
        "excluded": "",
    }


@pytest.fixture
def report() -> dict[str, Any]:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    made = {
        "schema": schema["properties"]["schema"]["const"],
        "run": "1",
        "created": "2026-05-04T10:00:00Z",
        "task": {
            "questions": 40, "scored": 40, "unanswerable": 4, "groups": 30, "largest_group_share": 0.1, "metric": "f1",
            "metrics": ["f1"], "models": ["fake:echo"], "labels": 0, "documents": 17, "chunks": 90, "problems": [],
        },
        "splits": {
            "scheme": "cross-fitted", "folds": [{"train": 20, "test": 20}], "seed": 0, "fingerprint": "ab", "looks": 1,
            "ledger": [],
        },
        "seeds": [0],
        "mde": 0.2,
        "smallest_p": 0.001,
        "plan": {"stages": [], "left_out": [], "minutes": 3.0, "money": 0.0, "budget": None},
        "stages": [
            {"stage": "train", "candidate": "rag", "planned_seconds": 60.0, "measured_seconds": 90.0},
            {"stage": "answer", "candidate": "rag", "planned_seconds": 60.0, "measured_seconds": 30.0},
            {"stage": "answer", "candidate": "prompt", "planned_seconds": 60.0, "measured_seconds": None},
        ],
        "candidates": [candidate("prompt", f1=0.1), candidate("rag", f1=0.5), candidate("tuned", reason="no torch")],
        "race": {"kind": "exhaustive", "why": "", "looks": [], "ended": "", "work": None, "candidates": []},
        "comparisons": [
            {
                "a": "rag", "b": "prompt", "metric": "f1", "difference": 0.4, "interval": interval(0.3, 0.5), "p_value": 0.001,
                "p_adjusted": 0.002, "p_not_worse": 0.001, "test": "BCa bootstrap", "items": 40, "groups": 30,
            }
        ],
        "decision": {
            "winner": "rag", "verdict": "superior", "reason": "beats all", "provisional": None, "headline": "rag",
            "margin": 0.05, "floor": 0.1, "further_questions": None, "claim": "these weights",
        },
        "field": None,
        "sensitivity": {"changes": [], "tried": []},
        "break_even": [],
        "probes": {
            "decomposition": None, "not_applicable": "no evidence", "relaxed": {}, "answer_in_context": None,
            "nearest_answer": None, "reader": None,
            "matrix": {"external_data": None, "behaviour": None, "words": ""},
        },
        "predictions": [],
        "scores": ".groundtune/runs/1/scores.jsonl",
        "versions": {"groundtune": "0.1.0"},
        "notes": [],
    }  # fmt: skip
    jsonschema.validate(made, schema)
    return made


def test_figures_are_the_reports(report: dict[str, Any], tmp_path: Path) -> None:
    figures = figures_of(report)
    assert figures["f1_rag"] == 0.5
    assert figures["f1_high_rag"] == pytest.approx(0.6)
    assert figures["latency_p95_s_prompt"] == 0.4
    assert figures["cost_per_1000_usd_rag"] == 0.01
    assert figures["f1_difference_rag_minus_prompt"] == 0.4
    assert figures["p_adjusted_rag_minus_prompt"] == 0.002
    assert figures["not_run_tuned"] == "no torch"
    assert "f1_tuned" not in figures
    assert figures["minutes_train_rag"] == 1.5
    assert figures["minutes_stages"] == 2.0
    assert "minutes_answer_prompt" not in figures
    save("report", figures, [], folder=tmp_path)  # every figure is flat


def test_goals_of_a_race(report: dict[str, Any]) -> None:
    assert ran(report) == ("prompt", "rag")
    assert not_applicable(report) == ("tuned",)
    met = {one.name: one.met for one in race_goals(report, expected=("prompt", "rag", "tuned"))}
    assert met == {
        "ran_prompt": True,
        "ran_rag": True,
        "ran_tuned": False,
        "latency_requests_count_least": True,
        "latency_p95_s_worst": True,
    }
    report["candidates"][1]["latency"] = None
    assert not any(one.met for one in race_goals(report, expected=()))


# --- conversions --------------------------------------------------------------------------------------------------------


@pytest.fixture
def handbook(tmp_path: Path) -> Path:
    """The layout and the faults of kb_gitlab_handbook: pages as files or folders, decoys first, an id used twice."""
    pages = tmp_path / "content" / "handbook"
    (pages / "finance").mkdir(parents=True)
    (pages / "chat.md").write_text("# Chat\n\nProject channels begin with proj_.\n")
    (pages / "finance" / "_index.md").write_text("# Finance\n\nThe quarter ends on 31 March.\n")
    decoy, true = {"chat.md": ["Project channels"]}, {"finance.md": ["The quarter ends on 31 March."]}
    common = {"think": "", "type": ""}
    write_rows(
        tmp_path / "datasets" / "single_text.jsonl",
        [
            {
                **common,
                "id": 60,
                "question": "Which prefix?",
                "retrieval": [{"chat.md": ["begin with proj_"]}],
                "answer": "proj_",
            },
            {**common, "id": 60, "question": "Which day?", "retrieval": [true], "answer": "31 March"},
        ],
    )
    both = [{**decoy, **true}]
    write_rows(
        tmp_path / "datasets" / "negation_exclusion.jsonl",
        [
            {**common, "id": 0, "question": "Not chat: when?", "retrieval": [decoy, true], "answer": "31 March"},
            {**common, "id": 1, "question": "Not chat: which day?", "retrieval": both, "answer": "31 March"},
        ],
    )
    temporal = {**common, "id": 0, "question": "When does it end?", "retrieval": [true], "answer": "2026-03-31"}
    write_rows(tmp_path / "datasets" / "temporal_reference.jsonl", [temporal])
    anaphora = {
        **common,
        "id": 0,
        "context": "Its begin?",
        "question": "And end?",
        "retrieval": both,
        "answer": "31 March",
    }
    write_rows(tmp_path / "datasets" / "contextual_anaphora.jsonl", [anaphora])
    return tmp_path


def test_handbook_rows_are_readable_and_their_evidence_is_found(handbook: Path) -> None:
    kinds = ("single_text", "negation", "temporal", "anaphora")
    reading = read_questions(write_rows(handbook / "questions.jsonl", convert_handbook.convert(handbook, kinds=kinds)))
    assert reading.problems == ()
    by_id = {example.id: example for example in reading.examples}
    assert by_id.keys() == {"single_text-0", "single_text-1", "negation-0", "negation-1", "temporal-0", "anaphora-0"}
    assert [one.document for one in by_id["single_text-1"].evidence] == ["finance/_index.md"]
    for name in ("negation-0", "negation-1", "anaphora-0"):
        assert [one.document for one in by_id[name].evidence] == ["finance/_index.md"], "the decoy is not evidence"
    assert by_id["temporal-0"].question == f"{convert_handbook.TODAY} When does it end?"
    assert [said.content for said in by_id["anaphora-0"].history] == ["Its begin?"]
    folder = convert_handbook.documents_folder(handbook)
    assert check_evidence(reading.examples, lambda name: (folder / name).read_text()).problems == ()


def test_handbook_faults_are_named(handbook: Path) -> None:
    with pytest.raises(DataError, match="multimodal"):
        convert_handbook.convert(handbook, kinds=("multimodal",))
    (handbook / "content" / "handbook" / "chat.md").unlink()
    with pytest.raises(DataError, match=r"chat\.md"):
        convert_handbook.convert(handbook)


COLUMNS = "utterance,intent,entity_type,entity_value,start_offset,end_offset,category,tags\n"


@pytest.fixture
def intents(tmp_path: Path) -> Path:
    lines = [f"cancel purchase {number},cancel_order,order_id,{number},16,19,ORDER,BK" for number in (101, 102, 103)]
    lines += [f"cancel it {'please ' * times}now,cancel_order,,,,,ORDER,BK" for times in range(20)]
    lines += [f"where is {'oh ' * times}my bill,get_invoice,,,,,INVOICE,BI" for times in range(20)]
    for part, own in (("train", lines[:25]), ("test", lines[25:])):
        (tmp_path / "data" / part).mkdir(parents=True)
        (tmp_path / "data" / part / f"{part}.csv").write_text(COLUMNS + "\n".join(own) + "\n")
    return tmp_path


def test_intents_are_sampled_evenly_and_alike_every_time(intents: Path) -> None:
    rows = convert_intents.convert(intents, size=20)
    assert [row["answers"][0] for row in rows].count("get_invoice") == 10
    assert rows == convert_intents.convert(intents, size=20)
    assert rows != convert_intents.convert(intents, size=20, seed=1)
    assert {row["kind"] for row in rows} == {"order", "invoice"}


def test_intents_that_differ_in_a_number_only_stay_together(intents: Path) -> None:
    rows = convert_intents.convert(intents, size=1000)
    assert len(rows) == 43
    same = {row["group"] for row in rows if row["question"].startswith("cancel purchase")}
    assert len(same) == 1
    assert len({row["group"] for row in rows}) == 41
    reading = read_questions(write_rows(intents / "questions.jsonl", rows))
    assert reading.problems == ()
    parts = split(assign_groups(reading.examples), seed=0)
    assert len({parts[row["id"]] for row in rows if row["group"] in same}) == 1


# --- the real data, where they are --------------------------------------------------------------------------------------


def real(name: str) -> Path:
    try:
        return data_folder(name)
    except NotFound as error:
        pytest.skip(str(error))


def test_real_handbook() -> None:
    data = real("kb_gitlab_handbook")
    rows = convert_handbook.convert(data, kinds=tuple(convert_handbook.KINDS))
    assert len(rows) == 200
    assert len({row["id"] for row in rows}) == 200
    assert len(convert_handbook.convert(data)) == 100


def test_real_intents() -> None:
    rows = convert_intents.convert(real("cs_bitext_intents"), size=750)
    assert len(rows) == 750
    assert len({row["answers"][0] for row in rows}) == 27
