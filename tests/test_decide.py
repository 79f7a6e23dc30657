"""groundtune.decision: the whole way from documents and questions to a report, with the fake model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import groundtune
from groundtune.decision.plan import Plan
from groundtune.decision.report import SCHEMA
from groundtune.errors import NotFound, TooFewQuestions, UsageError
from tests.firm import CONFIG, SECRET, THINGS, rows, write_firm, write_questions


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_firm(tmp_path_factory.mktemp("firm"))
    groundtune.decide(root)
    return root


def read(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "report.json").read_text(encoding="utf-8"))
    return found


def scores_of(root: Path) -> list[dict[str, Any]]:
    lines = (root / read(root)["scores"]).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_the_report_keeps_its_schema(decided: Path) -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(read(decided), schema)


def test_all_five_candidates_answered_the_same_items(decided: Path) -> None:
    report = read(decided)
    assert [candidate["name"] for candidate in report["candidates"]] == ["prompt", "few_shot", "rag", "tuned", "rag_tuned"]
    items = {
        name: sorted(score["item"] for score in scores_of(decided) if score["candidate"] == name)
        for name in ("prompt", "few_shot", "rag", "tuned", "rag_tuned")
    }
    assert all(asked == sorted(row["id"] for row in rows()) for asked in items.values())


def test_means_can_be_computed_again_from_the_scores(decided: Path) -> None:
    for candidate in read(decided)["candidates"]:
        mine = [score for score in scores_of(decided) if score["candidate"] == candidate["name"]]
        for metric, mean in candidate["metrics"].items():
            values = [score["metrics"][metric] for score in mine if metric in score["metrics"]]
            assert mean == pytest.approx(sum(values) / len(values), abs=1e-12)


def test_no_fold_learns_from_its_own_items(decided: Path) -> None:
    folds: dict[str, set[int]] = {}
    for score in scores_of(decided):
        folds.setdefault(score["group"], set()).add(score["fold"])
    assert all(len(where) == 1 for where in folds.values())
    about = [json.loads(path.read_text()) for path in (decided / ".groundtune" / "weights").glob("*/training.json")]
    tested = [{score["item"] for score in scores_of(decided) if score["fold"] == fold} for fold in range(3)]
    assert len(about) == 6
    for training in about:
        assert any(not test & set(training["examples"]) for test in tested)


def test_the_same_seed_gives_the_same_answers_scores_and_verdict_cached_and_uncached(decided: Path, tmp_path: Path) -> None:
    fresh = write_firm(tmp_path / "fresh")
    for root in (fresh, decided):
        before = scores_of(decided)
        groundtune.decide(root)
        assert scores_of(root) == before
    first, again = read(fresh), read(decided)
    assert first["decision"] == again["decision"]
    assert first["comparisons"] == again["comparisons"]
    assert (first["splits"]["looks"], again["splits"]["looks"]) == (1, 2)


def test_the_decomposition_adds_up(decided: Path) -> None:
    found = read(decided)["probes"]["decomposition"]
    assert found["items"] == 23
    value = {name: measure["value"] for name, measure in found.items() if name != "items"}
    assert value["retrieval_loss"] + value["format_loss"] + value["reading_loss"] == pytest.approx(1 - value["retrieved"])
    for name, measure in found.items():
        assert name == "items" or measure["interval"]["low"] <= measure["value"] <= measure["interval"]["high"], name


def test_reports_hold_no_text_of_questions_answers_or_documents(decided: Path) -> None:
    for name in ("report.json", "report.md", "report.html"):
        text = (decided / name).read_text(encoding="utf-8")
        assert SECRET not in text
        assert "plans.md" not in text
        assert not any(row["question"] in text for row in rows())


def test_a_report_is_written_again_from_the_store(decided: Path) -> None:
    before = (decided / "report.html").read_text(encoding="utf-8")
    (decided / "report.html").unlink()
    files = groundtune.report(decided)
    assert files.html.read_text(encoding="utf-8") == before
    with pytest.raises(NotFound, match="decide-9999"):
        groundtune.report(decided, run="decide-9999")


def test_tuned_weights_learn_only_what_every_named_user_may_read(decided: Path) -> None:
    for path in (decided / ".groundtune" / "weights").glob("*/training.json"):
        training = json.loads(path.read_text())
        assert not any(item.startswith("board") for item in training["examples"])
        assert "board/plans.md" not in training["documents"]
        assert SECRET.encode() not in (path.parent / "adapter_model.safetensors").read_bytes()
    unreadable = [weights["unreadable"] for candidate in read(decided)["candidates"] for weights in candidate["weights"]]
    assert sum(unreadable) > 0


def test_a_planted_test_answer_reaches_neither_tuning_nor_few_shot(tmp_path: Path) -> None:
    """Every item's answer is a word of its own: it may stand in the training data of the other folds only."""
    root = write_firm(tmp_path)
    planted = [row | {"answers": [f"codeword{number}"]} for number, row in enumerate(rows()) if row["answers"]]
    write_questions(root / "questions.jsonl", planted)
    groundtune.decide(root, candidates=["few_shot", "tuned"])
    own = {row["id"]: row["answers"][0] for row in planted}
    scores = scores_of(root)
    assert not any(own[score["item"]] == score["answer"] for score in scores)
    assert any(score["answer"].startswith("codeword") for score in scores), "the fake did not learn anything"


def test_without_documents_retrieval_is_not_applicable_and_says_why(tmp_path: Path) -> None:
    questions = [{"question": f"send {thing} number {n}", "answers": [f"goods_{thing}"]} for thing in THINGS for n in range(4)]
    path = tmp_path / "questions.jsonl"
    write_questions(path, questions)
    (tmp_path / "out").mkdir()
    models = 'model = "fake:extract"\nembedder = "fake:hash"\n'
    config = f'{models}documents = ""\n[access]\nsingle = true\n[decision]\nlatency_requests = 2\n'
    (tmp_path / "out" / "groundtune.toml").write_text(config)
    decision = groundtune.decide(questions=path, out=tmp_path / "out", metric="label_accuracy")
    assert decision.report is not None
    absent = {one["name"]: one["not_applicable"] for one in decision.report["candidates"] if one["not_applicable"]}
    assert absent == dict.fromkeys(("rag", "rag_tuned"), "there are no documents to retrieve from")
    assert decision.report["task"]["labels"] == len(THINGS)
    assert any("single principal 'local'" in note for note in decision.report["notes"])
    questions = [{"question": f"send {thing} number {n}", "answers": [f"goods_{thing}"]} for thing in THINGS for n in range(5)]
    write_questions(path, questions)
    plan = groundtune.decide(questions=path, out=tmp_path / "out", plan_only=True).plan
    assert any("label_accuracy" in note for note in plan.notes)


def test_the_plan_comes_before_anything_is_spent_and_a_budget_leaves_out_by_name(tmp_path: Path) -> None:
    root = write_firm(tmp_path)
    plans: list[Plan] = []
    decision = groundtune.decide(root, plan_only=True, announce=plans.append)
    assert decision.report is None
    assert plans == [decision.plan]
    assert not (root / "report.json").exists()
    assert {stage.name for stage in decision.plan.stages} == {"answer", "latency", "train", "probe"}
    tight = groundtune.decide(root, plan_only=True, budget="10s").plan
    assert {left.candidate for left in tight.left_out} == {"tuned", "rag_tuned", "reader"}
    with pytest.raises(UsageError, match="no candidate fits"):
        groundtune.decide(root, budget="0s")


def test_an_interrupted_race_goes_on_where_it_stopped(decided: Path, tmp_path: Path) -> None:
    root = write_firm(tmp_path / "cut")
    calls = 0

    class Cut(Exception):
        pass

    def cut(stage: str, done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if stage.startswith("answer rag 2") and done == total:
            raise Cut

    with pytest.raises(Cut):
        groundtune.decide(root, progress=cut)
    groundtune.decide(root)
    assert scores_of(root) == scores_of(decided)
    assert read(root)["decision"] == read(decided)["decision"]


def test_too_few_questions_say_how_many_are_needed(tmp_path: Path) -> None:
    root = write_firm(tmp_path)
    write_questions(root / "questions.jsonl", rows()[:5])
    with pytest.raises(TooFewQuestions, match="at least 10") as raised:
        groundtune.decide(root)
    assert raised.value.needed == 10


def test_a_broken_row_and_lost_evidence_are_listed_and_cost_nothing_else(tmp_path: Path) -> None:
    root = write_firm(tmp_path)
    with (root / "questions.jsonl").open("a", encoding="utf-8") as file:
        file.write("{not json\n")
        lost = {
            "id": "lost",
            "question": "Is it?",
            "answers": ["no"],
            "evidence": [{"document": "kettle.md", "quote": "purple rain"}],
        }
        file.write(json.dumps(lost) + "\n")
    decision = groundtune.decide(root, candidates=["prompt"])
    assert decision.report is not None
    problems = decision.report["task"]["problems"]
    assert any("questions.jsonl:25" in problem for problem in problems)
    assert any("lost" in problem for problem in problems)
    assert decision.report["task"]["questions"] == len(rows()) + 1


def test_unknown_names_are_refused_with_the_nearest(tmp_path: Path) -> None:
    root = write_firm(tmp_path)
    with pytest.raises(UsageError, match="rag_tuned"):
        groundtune.decide(root, candidates=["rag_tune"])
    with pytest.raises(UsageError, match="f1"):
        groundtune.decide(root, metric="f2")
    with pytest.raises(groundtune.GroundtuneError, match="smollm2"):
        groundtune.decide(root, model="embedded:smollm3")


def test_evaluate_scores_one_candidate_and_decides_nothing(decided: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(decided, root)
    (report,) = groundtune.evaluate("rag", root=root)
    measured = next(candidate for candidate in read(decided)["candidates"] if candidate["name"] == "rag")
    assert dict(report.metrics) == measured["metrics"]


def test_a_constraint_takes_a_candidate_out_of_the_comparison_and_says_so(tmp_path: Path) -> None:
    root = write_firm(tmp_path, config=CONFIG + "must_cite = true\n")
    decision = groundtune.decide(root, candidates=["prompt", "rag"])
    assert decision.report is not None
    assert decision.report["candidates"][0]["excluded"] == "it cannot cite, and citations are required"
    assert decision.report["comparisons"] == []
