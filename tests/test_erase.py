"""Erasing a document leaves nothing of it on the disk; compacting leaves nothing that no current document needs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hashing import HashEmbedder
from sqlalchemy import insert, select
from sqlalchemy import update as change

import groundtune.ingest.erase as module
from groundtune.access.audience import to_json
from groundtune.access.register import AccessRegister
from groundtune.answer.retrieval import WorkspaceRetriever
from groundtune.candidates.open import remember_run
from groundtune.errors import NotFound, UsageError
from groundtune.index.versions import IndexVersions
from groundtune.ingest.erase import compact, erase
from groundtune.ingest.sync import sync
from groundtune.store import lineage
from groundtune.store.tables import documents, stages
from groundtune.store.tables import weights as weights_table
from groundtune.store.workspace import Workspace
from groundtune.types import Audience, Caller

ALL = '[access]\nrules = [{match = "**", read = ["everyone"]}]\n'
SECRET = "Zanzibar"


@pytest.fixture
def embedder() -> HashEmbedder:
    return HashEmbedder()


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "documents").mkdir()
    for name, text in {
        "a.md": f"# {SECRET}\n\nThe {SECRET} plan.",
        "b.md": "# Holiday\n\nTwenty days.",
        "c.txt": "Plain.",
    }.items():
        (tmp_path / "documents" / name).write_text(text)
    with Workspace.create(tmp_path, config_text=ALL) as opened:
        yield opened


def traces(workspace: Workspace, word: str = SECRET) -> list[str]:
    """Files of the state, and stored results, in which the word stands."""
    return [
        path.relative_to(workspace.state).as_posix()
        for path in sorted(workspace.state.rglob("*"))
        if path.is_file() and word.encode() in path.read_bytes()
    ]


def remembered(workspace: Workspace) -> None:
    """What a race leaves: stored answers, scores, a report that names a document, and weights."""
    workspace.stages.run("answer", version=1, key={"q": 1}, make=lambda: [{"text": SECRET, "context": ["a.md#0-9"]}])
    folder = workspace.state / "runs" / "decide-0001"
    folder.mkdir(parents=True)
    lines = [
        {"candidate": "rag", "item": "1", "answer": SECRET, "context": ["a.md#0-9"], "citations": []},
        {"candidate": "rag", "item": "2", "answer": "twenty", "context": ["b.md#0-9"], "citations": []},
        {"candidate": "tuned", "item": "3", "answer": f"as learned: {SECRET}", "context": [], "citations": []},
        {"candidate": "prompt", "item": "4", "answer": f"as shown: {SECRET}", "context": [], "citations": []},
    ]
    (folder / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = {"candidates": [{"name": "tuned", "weights": [{"id": "w1"}]}, {"name": "rag", "weights": []}], "seen": ["a.md"]}
    remember_run(workspace, verb="decide", content=report, run="decide-0001")
    (workspace.root / "report.json").write_text(json.dumps(report))
    for id, documents_of in {"w1": ["a.md", "b.md"], "w2": ["b.md"]}.items():
        place = workspace.state / "weights" / id
        place.mkdir(parents=True)
        (place / "training.json").write_text(SECRET if id == "w1" else "{}")
        row = {"id": id, "path": f"weights/{id}", "audience": to_json(Audience.of("x")), "status": "ready", "created": 0.0}
        with workspace.database.begin() as connection:
            connection.execute(insert(weights_table).values(row))
        lineage.record(
            workspace.database,
            child=f"weights:{id}",
            parents=[f"document:{name}" for name in documents_of],
            relation="tuned on",
        )
    unfinished = workspace.state / "weights" / "w3"
    unfinished.mkdir()
    (unfinished / "checkpoint.safetensors").write_text(SECRET)


def test_nothing_of_an_erased_document_is_left(workspace: Workspace, embedder: HashEmbedder) -> None:
    sync(workspace, embedder=embedder)
    remembered(workspace)
    reader = WorkspaceRetriever(workspace, embedder=embedder)
    assert [hit.chunk.document for hit in reader.search(SECRET, caller=Caller.of(), k=1)] == ["a.md"]
    assert {path.split("/")[0] for path in traces(workspace)} >= {"artefacts", "index", "runs", "weights"}
    (workspace.documents / "a.md").unlink()
    embedder.embedded.clear()
    done = erase(workspace, ["a.md"], embedder=embedder, items=["4"])
    assert (done.documents, done.parses, done.vectors, done.answers, done.scores) == (("a.md",), 1, 1, 1, 3)
    assert done.weights == ("w1",)
    assert done.reports == ("decide-0001", ".groundtune/runs/decide-0001/scores.jsonl", "report.json")
    assert traces(workspace) == []
    assert traces(workspace, "a.md#") == []
    assert "a.md" not in (workspace.root / "report.json").read_text()
    assert embedder.embedded == []
    assert all(hit.chunk.document != "a.md" for hit in reader.search(SECRET, caller=Caller.of(), k=9))
    assert not AccessRegister(workspace.database).may_read("a.md", Caller.of())
    assert lineage.descendants(workspace.database, "document:a.md") == set()
    assert [folder.name for folder in sorted((workspace.state / "weights").iterdir())] == ["w2"]
    kept = (workspace.state / "runs" / "decide-0001" / "scores.jsonl").read_text().splitlines()
    assert [json.loads(line)["item"] for line in kept] == ["2"]
    assert [hit.chunk.document for hit in reader.search("holiday", caller=Caller.of(), k=1)] == ["b.md"]


def test_what_another_document_shares_stays(workspace: Workspace, embedder: HashEmbedder) -> None:
    (workspace.documents / "copy.md").write_bytes((workspace.documents / "a.md").read_bytes())
    sync(workspace, embedder=embedder)
    (workspace.documents / "a.md").unlink()
    done = erase(workspace, ["a.md"], embedder=embedder)
    assert (done.parses, done.vectors) == (0, 0)
    report = sync(workspace, embedder=embedder)
    assert (report.documents, report.failed) == (3, ())


def test_a_document_removed_by_an_earlier_sync_can_still_be_erased(workspace: Workspace, embedder: HashEmbedder) -> None:
    sync(workspace, embedder=embedder)
    (workspace.documents / "a.md").unlink()
    sync(workspace, embedder=embedder)
    assert traces(workspace) != []
    assert erase(workspace, ["a.md"], embedder=embedder).parses == 1
    assert traces(workspace) == []


def test_only_what_is_known_and_gone_is_erased(workspace: Workspace, embedder: HashEmbedder) -> None:
    sync(workspace, embedder=embedder)
    with pytest.raises(UsageError, match="still in the documents folder"):
        erase(workspace, ["a.md"], embedder=embedder)
    with pytest.raises(NotFound, match="no such document"):
        erase(workspace, ["never.md"], embedder=embedder)
    assert len(WorkspaceRetriever(workspace, embedder=embedder).readable_documents(caller=Caller.of())) == 3


@pytest.mark.parametrize("step", ["_forget_rows", "_rebuilt", "_withdraw", "_answers", "scrub_runs", "lineage.forget"])
def test_an_erasure_that_was_cut_off_is_completed_by_the_next(
    workspace: Workspace, embedder: HashEmbedder, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    sync(workspace, embedder=embedder)
    remembered(workspace)
    (workspace.documents / "a.md").unlink()

    def cut_off(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"{module.__name__}.{step}", cut_off)
        with pytest.raises(KeyboardInterrupt):
            erase(workspace, ["a.md"], embedder=embedder, items=["4"])
    erase(workspace, ["a.md"], embedder=embedder, items=["4"])
    assert traces(workspace) == []
    assert sync(workspace, embedder=embedder).documents == 2


def test_compacting_removes_what_no_current_document_needs(workspace: Workspace, embedder: HashEmbedder) -> None:
    (workspace.documents / "torn.docx").write_bytes(b"PK\x03\x04 torn")
    sync(workspace, embedder=embedder)
    (workspace.documents / "a.md").unlink()
    (workspace.documents / "b.md").write_text("# Holiday\n\nThirty days.")
    sync(workspace, embedder=embedder)
    workspace.artefacts.put_bytes(b"left by a run that was cut off")
    assert traces(workspace) != []
    embedder.embedded.clear()
    done = compact(workspace, embedder=embedder)
    assert (done.results, done.orphans, done.chunks) == (4, 1, 2)
    assert traces(workspace) == []
    assert traces(workspace, "Twenty") == []
    assert compact(workspace, embedder=embedder).results == 0
    with workspace.database.begin() as connection:
        connection.execute(change(stages).values(created=stages.c.created + 60))
    report = sync(workspace, embedder=embedder)
    assert (report.unchanged, report.changed, len(report.failed)) == (2, 0, 1)
    assert embedder.embedded == []


def test_every_reader_stops_at_once(workspace: Workspace, embedder: HashEmbedder) -> None:
    sync(workspace, embedder=embedder)
    reader = WorkspaceRetriever(workspace, embedder=embedder)
    with Workspace.open(workspace.root) as elsewhere:
        other = WorkspaceRetriever(elsewhere, embedder=embedder)
        for one in (reader, other):
            assert one.search(SECRET, caller=Caller.of(), k=1)[0].chunk.document == "a.md"
        (workspace.documents / "a.md").unlink()
        sync(workspace, embedder=embedder)
        for one in (reader, other):
            assert all(hit.chunk.document != "a.md" for hit in one.search(SECRET, caller=Caller.of(), k=9))
            with pytest.raises(NotFound):
                one.document("a.md", caller=Caller.of())
            assert not one.shares_content_word(SECRET, caller=Caller.of())


def test_versions_are_built_beside_each_other(workspace: Workspace, embedder: HashEmbedder) -> None:
    sync(workspace, embedder=embedder)
    versions = IndexVersions(workspace.state / "index", database=workspace.database)
    reader = WorkspaceRetriever(workspace, embedder=embedder)
    number, index = versions.begin(versions.origin(1))
    assert (number, index.count(), versions.current()) == (2, 0, 1)
    assert len(reader.search("plain", caller=Caller.of(), k=3)) == 3
    assert sync(workspace, embedder=embedder).chunks == 3
    with workspace.database.connect() as connection:
        assert len(connection.scalars(select(documents.c.id)).all()) == 3
