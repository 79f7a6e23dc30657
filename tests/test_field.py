"""One race over the whole field: models that differ, whole documents, systems that already run, and what cannot race."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import groundtune
from groundtune.answer.external import ExternalAssistant
from groundtune.candidates.build import build
from groundtune.candidates.open import open_workshop
from groundtune.candidates.recipes import candidate_named
from groundtune.cli import results
from groundtune.decision.report import SCHEMA
from groundtune.errors import UsageError
from groundtune.models.fake import FakeModel
from groundtune.store.workspace import Workspace
from groundtune.verbs.knowledge import open_assistant
from tests.firm import CONFIG, PLACES, SECRET, THINGS, rows, write_firm
from tests.test_external import Server, server  # noqa: F401

OWN = """
[candidates.big_rag]
base = "rag"
model = "fake:echo"
context = { k = 2 }
[candidates.twin]
base = "rag"
[candidates.hosted]
base = "rag"
model = "openai:big"
[candidates.lost]
callable = "groundtune.nowhere:answer"
[candidates.whole_tuned]
base = "tuned"
context = "whole"
[candidates.unused]
base = "prompt"
"""


def config(own: str) -> str:
    return CONFIG + own


def test_the_whole_field_in_one_race(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    truth = {row["question"]: row for row in rows()}

    def answer(request: dict[str, Any]) -> Any:
        row = truth[request["question"]]
        assert set(request["principals"]) == set(row["principals"])
        if not row["answers"]:
            return {"answer": None}
        return {"answer": row["answers"][0], "citations": row["evidence"], "usage": {"input_tokens": 90, "output_tokens": 10}}

    server.answer = answer
    command = json.dumps([sys.executable, "-c", "print('in the attic')", "--key=hush"])
    own = f"{OWN}[candidates.bot]\nurl = '{server.url}&key=hush'\n"
    own += f"[candidates.program]\ncommand = {command}\nprice_per_1000 = 3.0\n"
    own += '[prices.models."external:bot"]\ninput_per_million = 10.0\noutput_per_million = 100.0\n'
    root = write_firm(tmp_path, config=config(own))
    calls: list[str] = []

    def memory(question: str, principals: Sequence[str]) -> str:
        assert principals
        calls.append(question)
        if "scanner" in question:
            raise RuntimeError(question)
        return f"in the {PLACES[0]}"

    names = ["rag", "big_rag", "long_context", "bot", "program", memory, "hosted", "lost", "whole_tuned"]
    decision = groundtune.decide(root, candidates=names)
    report = decision.report
    assert report is not None and decision.verdict is not None
    jsonschema.validate(report, json.loads(SCHEMA.read_text(encoding="utf-8")))
    found = {one["name"]: one for one in report["candidates"]}

    # what cannot race says why
    assert "OPENAI_BASE_URL" in found["hosted"]["not_applicable"]
    assert "no module 'groundtune.nowhere'" in found["lost"]["not_applicable"]
    assert found["whole_tuned"]["not_applicable"] == "tuning on whole documents is not built"
    assert found["hosted"]["model"] == "openai:big"
    assert any("names them: twin, unused" in note for note in report["notes"])

    # models, costs and citations
    assert decision.verdict.winner == "bot"
    assert report["decision"]["headline"] == "Use bot as it runs: it beats every other candidate"
    assert report["task"]["models"] == ["external:bot", "external:memory", "external:program", "fake:echo", "fake:extract"]
    assert found["bot"]["metrics"]["f1"] == 1.0
    assert found["bot"]["metrics"]["citation_precision"] == 1.0
    assert found["bot"]["metrics"]["abstention"] == 1.0
    assert found["bot"]["cost"]["per_1000_answers"] == pytest.approx(90 * 10 / 1000 + 10 * 100 / 1000, rel=0.1)
    assert found["program"]["cost"]["per_1000_answers"] == 3.0
    assert not found["memory"]["cost"]["known"]
    assert all(found[name]["latency"]["requests"] == 2 for name in ("bot", "program", "memory", "long_context"))

    # whole documents
    assert any("long_context shows every document that the asker may read" in note for note in report["notes"])
    scores = [json.loads(line) for line in (root / report["scores"]).read_text(encoding="utf-8").splitlines()]
    whole = {score["item"]: score for score in scores if score["candidate"] == "long_context"}
    assert len(whole["kettle-1"]["context"]) == len(THINGS)
    assert len(whole["board-0"]["context"]) == len(THINGS) + 1

    # what failed is counted, and nothing of it leaks
    assert any("memory gave no usable reply to 3 of 24 questions" in note for note in report["notes"])
    for name in ("report.json", "report.md", "report.html"):
        text = (root / name).read_text(encoding="utf-8")
        assert "hush" not in text and SECRET not in text and "scanner" not in text
        assert "external:bot" in text
    assert "unknown" in results.candidates(report["candidates"], metric="f1")

    # answers are kept, and what won answers in service
    before = len(server.requests), len(calls)
    groundtune.decide(root, candidates=["bot", memory])
    once_more = 1 + 2 + 2  # the trial, the warm-up and two timed questions
    assert (len(server.requests) - before[0], len(calls) - before[1]) == (once_more, once_more)
    asked = groundtune.ask("Where is the ladder kept?", root=root, principals=["staff"])
    assert (asked.text, asked.citations[0].document) == ("in the basement", "ladder.md")


def test_another_version_is_asked_again(tmp_path: Path) -> None:
    root = write_firm(tmp_path)
    calls: list[str] = []
    truth = {row["question"]: row["answers"] for row in rows()}

    def bot(question: str) -> str:
        calls.append(question)
        return "".join(truth[question])

    def count() -> int:
        before = len(calls)
        groundtune.decide(root, candidates=[bot])
        return len(calls) - before

    assert (count(), count()) == (24 + 5, 5)
    bot.version = "2"  # type: ignore[attr-defined]
    assert count() == 24 + 5
    with pytest.raises(UsageError, match=r"bot: the newest decision chose a candidate that groundtune\.toml does not hold"):
        groundtune.ask("Where is the ladder kept?", root=root, principals=["staff"])


def test_what_never_answers_is_not_applicable_and_costs_the_others_nothing(tmp_path: Path, server: Server) -> None:  # noqa: F811
    server.answer = lambda request: {"text": "no answer in here"}
    root = write_firm(tmp_path, config=config(f'[candidates.bot]\nurl = "{server.url}"\n'))
    plan = groundtune.decide(root, candidates=["prompt", "bot"], plan_only=True).plan
    assert plan.candidates == ("prompt",)
    assert any("bot is not applicable: 3 questions got no usable reply: no usable reply" in note for note in plan.notes)
    assert len(server.requests) == 3
    with pytest.raises(UsageError, match="no usable reply"):
        groundtune.evaluate("bot", root=root)


def test_documents_that_do_not_fit_are_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_firm(tmp_path, config=config('[candidates.tight]\nbase = "long_context"\ncontext = { max_tokens = 5 }\n'))
    monkeypatch.setattr(FakeModel, "window", 320)
    plan = groundtune.decide(root, candidates=["prompt", "long_context", "tight"], plan_only=True).plan
    assert plan.candidates == ("prompt", "long_context")
    (note,) = [note for note in plan.notes if note.startswith("long_context shows")]
    assert "readable documents on average" in note and "the window of fake:extract, 320 tokens" in note
    assert "tight is not applicable: no document fits 5 tokens." in plan.notes
    monkeypatch.setattr(FakeModel, "window", None)
    plan = groundtune.decide(root, candidates=["prompt", "long_context"], plan_only=True).plan
    assert any("the window of fake:extract is not known" in note for note in plan.notes)


def test_candidates_of_one_model_share_it(tmp_path: Path) -> None:
    root = write_firm(tmp_path, config=config(OWN))
    groundtune.sync(root)
    with Workspace.open(root) as workspace:
        workshop = open_workshop(workspace)
        made = {
            name: build(candidate_named(name, config=workspace.config), workshop=workshop, train_examples=())
            for name in ("rag", "twin", "big_rag", "long_context")
        }
    assert made["rag"].model is made["twin"].model is made["long_context"].model
    assert made["rag"].model is not made["big_rag"].model
    assert made["rag"].fingerprint == made["twin"].fingerprint, "so that the same answers are not made twice"
    assert made["rag"].fingerprint != made["big_rag"].fingerprint


def test_a_named_candidate_answers_in_service(tmp_path: Path) -> None:
    command = json.dumps([sys.executable, "-c", "print('Not in the documents.')"])
    root = write_firm(tmp_path, config=config(f"[candidates.program]\ncommand = {command}\n"))
    groundtune.sync(root)
    with Workspace.open(root) as workspace:
        assistant = open_assistant(workspace, candidate="program")
        assert isinstance(assistant, ExternalAssistant)
    assert groundtune.ask("Where?", root=root, principals=["staff"], candidate="program").abstained


def test_functions_need_names_that_are_free(tmp_path: Path) -> None:
    root = write_firm(tmp_path)

    def rag(question: str) -> str:
        return question

    with pytest.raises(UsageError, match="rag: there is a candidate of this name already"):
        groundtune.decide(root, candidates=["prompt", rag])
    with pytest.raises(UsageError, match="neither a candidate's name nor a function"):
        groundtune.decide(root, candidates=[lambda question: question])
    with pytest.raises(UsageError, match="neither a candidate's name nor a function"):
        groundtune.decide(root, candidates=[3])  # type: ignore[list-item]


def test_a_limit_on_cost_leaves_out_what_has_no_price(tmp_path: Path) -> None:
    root = write_firm(tmp_path, config=CONFIG + "max_cost_per_1000 = 100.0\nmust_cite = true\n")

    def bot(question: str) -> str:
        return "in the attic"

    report = groundtune.decide(root, candidates=["rag", bot]).report
    assert report is not None
    excluded = {one["name"]: one["excluded"] for one in report["candidates"]}
    assert excluded["rag"] == ""
    assert excluded["bot"].startswith("its cost is not known")
