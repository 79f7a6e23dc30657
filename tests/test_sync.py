"""Sync: what changed and only that, named failures, and a run that may be cut off anywhere."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import documents as made
import pytest
from hashing import HashEmbedder
from sqlalchemy import select, update

import groundtune.ingest.sync as module
from groundtune.access.register import AccessRegister
from groundtune.errors import DataError, NotFound, UsageError
from groundtune.index.versions import IndexVersions
from groundtune.ingest.converted import Converted
from groundtune.ingest.parse import Limits, Parser
from groundtune.ingest.reading import stored_document
from groundtune.ingest.sync import SyncReport, rebuild, sync
from groundtune.store import lineage
from groundtune.store.tables import documents, stages
from groundtune.store.workspace import Workspace
from groundtune.types import Audience, Caller

ALL = '[access]\nrules = [{match = "**", read = ["everyone"]}]\n'
SOME = '[access]\nrules = [{match = "hr/**", read = ["hr"]}, {match = "*.md", read = ["everyone"]}]\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in {"a.md": "# Holiday\n\nTwenty days.", "hr/pay.md": "# Pay\n\nNine hundred.", "b.txt": "Plain."}.items():
        put(tmp_path, name, text)
    return tmp_path


@pytest.fixture
def embedder() -> HashEmbedder:
    return HashEmbedder()


@pytest.fixture
def workspace(root: Path) -> Iterator[Workspace]:
    with Workspace.create(root, config_text=ALL) as opened:
        yield opened


def put(root: Path, name: str, content: str | bytes) -> Path:
    path = root / "documents" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def held(workspace: Workspace) -> dict[str, tuple[str, int]]:
    versions = IndexVersions(workspace.state / "index", database=workspace.database)
    return {id: (one.revision, one.audience) for id, one in versions.open(versions.current()).held().items()}


def counts(report: SyncReport) -> tuple[int, int, int, int]:
    return report.added, report.changed, report.removed, report.unchanged


def reconfigured(workspace: Workspace, text: str) -> Workspace:
    (workspace.root / "groundtune.toml").write_text(text)
    return Workspace.open(workspace.root)


def test_everything_is_indexed_once(workspace: Workspace, embedder: HashEmbedder) -> None:
    seen: list[tuple[str, int, int]] = []
    report = sync(workspace, embedder=embedder, progress=lambda *step: seen.append(step))
    assert counts(report) == (3, 0, 0, 0)
    assert (report.documents, report.chunks, report.failed, report.unreadable) == (3, 3, (), ())
    assert sorted(held(workspace)) == ["a.md", "b.txt", "hr/pay.md"]
    assert sorted(embedder.embedded) == ["# Holiday\n\nTwenty days.", "# Pay\n\nNine hundred.", "b\nPlain."]
    assert seen[-1] == ("embed", 3, 3)
    assert ("parse", 3, 3) in seen
    again = sync(workspace, embedder=embedder)
    assert counts(again) == (0, 0, 0, 3)
    assert len(embedder.embedded) == 3


def test_only_what_changed_is_embedded(workspace: Workspace, embedder: HashEmbedder) -> None:
    sync(workspace, embedder=embedder)
    embedder.embedded.clear()
    put(workspace.root, "a.md", "# Holiday\n\nThirty days.")
    put(workspace.root, "c.md", "New.")
    (workspace.documents / "b.txt").unlink()
    os.utime(workspace.documents / "hr/pay.md", (1, 1))
    report = sync(workspace, embedder=embedder)
    assert counts(report) == (1, 1, 1, 1)
    assert sorted(embedder.embedded) == ["# Holiday\n\nThirty days.", "c\nNew."]
    assert sorted(held(workspace)) == ["a.md", "c.md", "hr/pay.md"]
    with workspace.database.connect() as connection:
        assert sorted(connection.scalars(select(documents.c.id))) == ["a.md", "c.md", "hr/pay.md"]
    assert not AccessRegister(workspace.database).may_read("b.txt", Caller.of())


def test_text_that_comes_back_is_not_embedded_again(workspace: Workspace, embedder: HashEmbedder) -> None:
    sync(workspace, embedder=embedder)
    old = (workspace.documents / "a.md").read_bytes()
    put(workspace.root, "a.md", "other")
    sync(workspace, embedder=embedder)
    embedder.embedded.clear()
    put(workspace.root, "a.md", old)
    assert sync(workspace, embedder=embedder).changed == 1
    assert embedder.embedded == []


def test_a_policy_change_embeds_nothing(workspace: Workspace, embedder: HashEmbedder) -> None:
    sync(workspace, embedder=embedder)
    embedder.embedded.clear()
    before = held(workspace)
    with reconfigured(workspace, SOME) as changed:
        report = sync(changed, embedder=embedder)
        assert counts(report) == (0, 0, 0, 3)
        assert report.unreadable == ("b.txt",)
        after = held(changed)
        register = AccessRegister(changed.database)
        assert register.audience("hr/pay.md") == Audience.of("hr")
        assert {name for name in after if after[name] != before[name]} == {"b.txt", "hr/pay.md"}
        assert after["hr/pay.md"][1] in register.allowed(Caller.of("hr"))
        assert after["hr/pay.md"][1] not in register.allowed(Caller.of("other"))
    assert embedder.embedded == []


def test_a_sidecar_beats_the_rules_and_a_faulty_one_lets_nobody_read(workspace: Workspace, embedder: HashEmbedder) -> None:
    put(workspace.root, "a.md.access.toml", 'read = ["board"]\n')
    put(workspace.root, "b.txt.access.toml", "read = what\n")
    report = sync(workspace, embedder=embedder)
    register = AccessRegister(workspace.database)
    assert register.audience("a.md") == Audience.of("board")
    assert report.unreadable == ("b.txt",)
    assert [name for name, _ in report.problems] == ["b.txt"]
    assert report.documents == 3


def test_documents_without_text_are_named_and_the_rest_goes_on(workspace: Workspace, embedder: HashEmbedder) -> None:
    sync(workspace, embedder=embedder)
    put(workspace.root, "a.md", b"")
    put(workspace.root, "fake.pdf", "just text")
    put(workspace.root, "torn.docx", b"PK\x03\x04 torn")
    report = sync(workspace, embedder=embedder)
    assert [(name, reason.split(":")[0]) for name, reason in report.failed] == [
        ("a.md", "empty"),
        ("torn.docx", "truncated"),
    ]
    assert sorted(held(workspace)) == ["b.txt", "fake.pdf", "hr/pay.md"]
    assert counts(report) == (1, 0, 0, 2)
    again = sync(workspace, embedder=embedder)
    assert again.failed == report.failed
    put(workspace.root, "a.md", "# Back\n\nagain")
    assert counts(sync(workspace, embedder=embedder)) == (1, 0, 0, 3)


def test_lasting_failures_are_parsed_once_and_others_again(
    workspace: Workspace, embedder: HashEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(workspace.root, "torn.docx", b"PK\x03\x04 torn")
    sync(workspace, embedder=embedder)
    parsed: list[str] = []
    read = Parser.read

    def counted(self: Parser, data: bytes, *, id: str, passwords: Sequence[str] = ()) -> Converted:
        parsed.append(id)
        return read(self, data, id=id, passwords=passwords)

    monkeypatch.setattr(Parser, "read", counted)
    sync(workspace, embedder=embedder)
    assert parsed == []
    sync(workspace, embedder=embedder, limits=Limits(seconds=49))
    assert parsed == []
    sync(workspace, embedder=embedder, limits=Limits(input=1_000_000))
    assert sorted(parsed) == ["a.md", "b.txt", "hr/pay.md", "torn.docx"]


def test_an_absent_or_empty_folder_loses_nothing(workspace: Workspace, embedder: HashEmbedder) -> None:
    sync(workspace, embedder=embedder)
    before = held(workspace)
    away = workspace.documents.rename(workspace.root / "away")
    with pytest.raises(NotFound, match="does not exist"):
        sync(workspace, embedder=embedder)
    workspace.documents.mkdir()
    with pytest.raises(DataError, match="holds no documents"):
        sync(workspace, embedder=embedder)
    assert held(workspace) == before
    workspace.documents.rmdir()
    away.rename(workspace.documents)
    with reconfigured(workspace, 'documents = ""\n') as without, pytest.raises(UsageError, match="no documents"):
        sync(without, embedder=embedder)


def test_other_settings_build_a_new_index_beside_the_old_one(workspace: Workspace, embedder: HashEmbedder) -> None:
    sync(workspace, embedder=embedder)
    versions = IndexVersions(workspace.state / "index", database=workspace.database)
    assert versions.current() == 1
    other = HashEmbedder(dimensions=16, fingerprint="hash-2")
    report = sync(workspace, embedder=other)
    assert counts(report) == (0, 0, 0, 3)
    assert versions.current() == 2
    assert versions.open(2).dimensions == 16
    assert [folder.name for folder in (workspace.state / "index").iterdir()] == ["000002"]
    with reconfigured(workspace, "[chunking]\ntokens = 16\n" + ALL) as smaller:
        sync(smaller, embedder=other)
        assert versions.current() == 3


def test_a_damaged_index_is_rebuilt_from_what_is_stored(workspace: Workspace, embedder: HashEmbedder) -> None:
    sync(workspace, embedder=embedder)
    before = held(workspace)
    embedder.embedded.clear()
    for manifest in (workspace.state / "index").rglob("*.manifest"):
        manifest.write_bytes(b"torn")
    report = sync(workspace, embedder=embedder)
    assert counts(report) == (0, 0, 0, 3)
    assert held(workspace) == before
    assert embedder.embedded == []


@pytest.mark.parametrize("step", ["read_all", "embed", "_write_rows", "_update_index", "IndexVersions.switch"])
def test_a_run_cut_off_before_any_step_is_completed_by_the_next(
    workspace: Workspace, embedder: HashEmbedder, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    sync(workspace, embedder=embedder)
    put(workspace.root, "a.md", "# Holiday\n\nThirty days.")
    put(workspace.root, "c.md", "New.")
    (workspace.documents / "b.txt").unlink()
    (workspace.root / "groundtune.toml").write_text("[chunking]\ntokens = 64\n" + SOME)

    def cut_off(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with Workspace.open(workspace.root) as changed:
        with monkeypatch.context() as patch:
            patch.setattr(f"groundtune.ingest.sync.{step}", cut_off)
            with pytest.raises(KeyboardInterrupt):
                sync(changed, embedder=embedder)
            assert not AccessRegister(changed.database).may_read("hr/pay.md", Caller.of())
            assert not AccessRegister(changed.database).may_read("b.txt", Caller.of())
        sync(changed, embedder=embedder)
        assert sorted(held(changed)) == ["a.md", "c.md", "hr/pay.md"]
        report = sync(changed, embedder=embedder)
        assert counts(report) == (0, 0, 0, 3)
        assert report.chunks == 3


def test_history_does_not_show(root: Path, embedder: HashEmbedder, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A workspace that grew and one that was filled at once hold the same rows."""
    other = tmp_path_factory.mktemp("other")
    for name in ("a.md", "hr/pay.md", "b.txt"):
        put(other, name, (root / "documents" / name).read_bytes())
    put(root, "a.md", "was different")
    with Workspace.create(root, config_text=ALL) as grown, Workspace.create(other, config_text=ALL) as filled:
        sync(grown, embedder=embedder)
        put(root, "a.md", (other / "documents" / "a.md").read_bytes())
        sync(grown, embedder=embedder)
        sync(filled, embedder=embedder)
        assert held(grown) == held(filled)


def test_the_parse_comes_out_of_its_document(workspace: Workspace, embedder: HashEmbedder) -> None:
    sync(workspace, embedder=embedder)
    assert held(workspace)["a.md"][0] in lineage.descendants(workspace.database, "document:a.md")


def test_large_updates_are_committed_in_portions(
    workspace: Workspace, embedder: HashEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_COMMIT", 1)
    assert sync(workspace, embedder=embedder).chunks == 3


def settled(workspace: Workspace) -> None:
    """Make the stored parses look as old as they would be after a while."""
    with workspace.database.begin() as connection:
        connection.execute(update(stages).values(created=stages.c.created + 60))


def test_files_that_were_not_touched_are_not_opened(
    workspace: Workspace, embedder: HashEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(workspace, embedder=embedder)
    settled(workspace)
    opened: list[str] = []
    read_bytes = Path.read_bytes

    def counted(self: Path) -> bytes:
        if self.is_relative_to(workspace.documents) and self.suffix != ".toml":
            opened.append(self.name)
        return read_bytes(self)

    monkeypatch.setattr(Path, "read_bytes", counted)
    assert counts(sync(workspace, embedder=embedder)) == (0, 0, 0, 3)
    assert opened == []
    before = (workspace.documents / "a.md").stat()
    put(workspace.root, "a.md", "# Holiday\n\nThirty days.")  # as long as before
    os.utime(workspace.documents / "a.md", ns=(before.st_atime_ns, before.st_mtime_ns))
    with workspace.database.begin() as connection:
        connection.execute(update(stages).values(created=time.time() - 60))
    assert counts(sync(workspace, embedder=embedder)) == (0, 1, 0, 2)


def test_a_move_keeps_parse_and_vectors_and_takes_the_new_place_s_readers(
    workspace: Workspace, embedder: HashEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reconfigured(workspace, SOME) as ruled:
        sync(ruled, embedder=embedder)
        before = held(ruled)
        embedder.embedded.clear()
        (ruled.documents / "hr").mkdir(exist_ok=True)
        (ruled.documents / "a.md").rename(ruled.documents / "hr" / "days off.md")
        monkeypatch.setattr(Parser, "read", lambda *_, **__: pytest.fail("it was parsed again"))
        report = sync(ruled, embedder=embedder)
        assert report.moved == (("a.md", "hr/days off.md"),)
        assert counts(report) == (1, 0, 1, 2)
        assert embedder.embedded == []
        after = held(ruled)
        assert after["hr/days off.md"][0] == before["a.md"][0]
        register = AccessRegister(ruled.database)
        assert register.audience("hr/days off.md") == Audience.of("hr")
        assert not register.may_read("a.md", Caller.of("hr"))


def test_copies_share_a_parse_and_are_no_moves(workspace: Workspace, embedder: HashEmbedder) -> None:
    sync(workspace, embedder=embedder)
    put(workspace.root, "copy.md", (workspace.documents / "a.md").read_bytes())
    report = sync(workspace, embedder=embedder)
    assert report.moved == ()
    assert held(workspace)["copy.md"][0] == held(workspace)["a.md"][0]


def test_what_could_not_be_read_inside_a_document_is_told(workspace: Workspace, embedder: HashEmbedder) -> None:
    put(workspace.root, "box.zip", made.packed({"a.md": "inside", "b.bin": bytes(range(256)) * 9}))
    report = sync(workspace, embedder=embedder)
    assert [(name, what.split(": ")[:2]) for name, what in report.partial] == [("box.zip", ["b.bin", "unsupported"])]
    assert sync(workspace, embedder=embedder).partial == report.partial
    settled(workspace)
    assert sync(workspace, embedder=embedder).partial == report.partial


def test_passwords_are_taken_from_beside_a_document_or_from_the_shared_file(
    workspace: Workspace, embedder: HashEmbedder, caplog: pytest.LogCaptureFixture
) -> None:
    put(workspace.root, "one.pdf", made.pdf([[("text", "first secret")]], password="sesame"))
    put(
        workspace.root,
        "two.zip",
        made.packed({"in.pdf": made.pdf([[("text", "second secret")]], password="shared"), "a.md": "x"}),
    )
    report = sync(workspace, embedder=embedder)
    assert [(name, reason.split(":")[0]) for name, reason in report.failed] == [("one.pdf", "encrypted")]
    assert [name for name, _ in report.partial] == ["two.zip"]
    put(workspace.root, "one.pdf.password", "wrong\nsesame\n")
    (workspace.root / "passwords.txt").write_text("shared\n")
    with reconfigured(workspace, '[ingest]\npasswords = "passwords.txt"\n' + ALL) as ruled:
        report = sync(ruled, embedder=embedder)
        assert (report.failed, report.partial) == ((), ())
        texts = [stored_document(ruled, row).text for row in rows(ruled) if row["id"] in ("one.pdf", "two.zip")]
        assert "first secret" in texts[0]
        assert "second secret" in texts[1]
        assert "one.pdf.password" not in held(ruled)
        stored = b"".join(path.read_bytes() for path in ruled.state.rglob("*") if path.is_file())
        assert b"sesame" not in stored
        assert b"shared" not in stored
    assert "sesame" not in caplog.text
    with (
        reconfigured(workspace, '[ingest]\npasswords = "absent.txt"\n' + ALL) as ruled,
        pytest.raises(NotFound, match="passwords"),
    ):
        sync(ruled, embedder=embedder)


def rows(workspace: Workspace) -> list[dict[str, Any]]:
    with workspace.database.connect() as connection:
        return [dict(row) for row in connection.execute(select(documents).order_by(documents.c.id)).mappings()]


def contents(workspace: Workspace) -> list[Any]:
    """All that the index says."""
    versions = IndexVersions(workspace.state / "index", database=workspace.database)
    index = versions.open(versions.current())
    table: Any = index._table
    return sorted((tuple(sorted(row.items(), key=str)) for row in table.to_arrow().to_pylist()), key=str)


def test_an_index_rebuilt_from_stored_parses_equals_the_old_one(workspace: Workspace, embedder: HashEmbedder) -> None:
    put(workspace.root, "slides.pptx", made.pptx([["One", "hello"], ["Two", "world"]]))
    sync(workspace, embedder=embedder)
    before = contents(workspace)
    embedder.embedded.clear()
    for path in sorted(workspace.documents.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert rebuild(workspace, embedder=embedder) == len(before)
    assert contents(workspace) == before
    assert embedder.embedded == []
    assert [folder.name for folder in (workspace.state / "index").iterdir()] == ["000002"]


def test_a_context_written_by_a_model_is_searched_and_written_once(workspace: Workspace, embedder: HashEmbedder) -> None:
    settings = 'model = "fake:echo"\n[chunking]\ncontext = "model"\n' + ALL
    with reconfigured(workspace, settings) as written:
        sync(written, embedder=embedder)
        assert all(text.count("\n") >= 1 for text in embedder.embedded)
        assert any("Holiday" in text for text in embedder.embedded)
        count = len(embedder.embedded)
        rebuild(written, embedder=embedder)
        assert len(embedder.embedded) == count
    with reconfigured(workspace, '[chunking]\ncontext = "none"\n' + ALL) as bare:
        embedder.embedded.clear()
        sync(bare, embedder=embedder)
        assert "Plain." in embedder.embedded
