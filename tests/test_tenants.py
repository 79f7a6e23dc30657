"""Two tenants with equal ids, principals and questions: neither ever sees the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hashing import HashEmbedder

import groundtune
from groundtune.access.tenants import Tenants
from groundtune.answer.retrieval import WorkspaceRetriever
from groundtune.errors import NotFound, UsageError
from groundtune.ingest.sync import sync
from groundtune.types import Caller

CONFIG = '[index]\nbackend = "sqlite"\n[access]\nrules = [{match = "**", read = ["staff"]}]\n'
STAFF = Caller.of("staff")


@pytest.fixture
def tenants(tmp_path: Path) -> Iterator[Tenants]:
    made = Tenants(tmp_path / "tenants")
    for name, secret in (("acme", "zebra"), ("globex", "tiger")):
        with made.create(name, config_text=CONFIG) as workspace:
            workspace.documents.mkdir()
            (workspace.documents / "plan.md").write_text(f"# Plan\n\nThe {secret} project starts.")
            sync(workspace, embedder=HashEmbedder())
    yield made


def test_equal_ids_meet_nowhere(tenants: Tenants) -> None:
    embedder = HashEmbedder()
    with tenants.open("acme") as acme, tenants.open("globex") as globex:
        both = [WorkspaceRetriever(one, embedder=embedder) for one in (acme, globex)]
        for _ in range(2):  # the second time with warm caches
            texts = [retriever.search("project plan", caller=STAFF, k=9)[0].chunk.text for retriever in both]
            assert ["zebra" in text for text in texts] == [True, False]
            assert ["tiger" in text for text in texts] == [False, True]
        assert both[0].document("plan.md", caller=STAFF).text != both[1].document("plan.md", caller=STAFF).text
        assert not both[0].shares_content_word("tiger", caller=STAFF)
        both[0].register.assign({"plan.md": both[0].audience("none")})
        assert both[0].search("project", caller=STAFF, k=9) == []
        assert len(both[1].search("project", caller=STAFF, k=9)) == 1


def test_the_calls_that_take_a_folder_take_a_tenants(tenants: Tenants) -> None:
    for name in ("acme", "globex"):
        shown = groundtune.show("plan.md", root=tenants.root(name), principals=("staff",))
        assert ("zebra" in shown.document.text) == (name == "acme")


def test_all_state_lies_below_the_tenants_own_folder(tenants: Tenants) -> None:
    files = {name: {path.read_bytes() for path in _files(tenants.folder / name)} for name in tenants.names()}
    assert not any(b"tiger" in data for data in files["acme"])
    assert not any(b"zebra" in data for data in files["globex"])
    assert tenants.names() == ("acme", "globex")


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "name", ["", "..", "../acme", "Acme", "a/b", "acme/", ".hidden", "-", "a" * 64, "\x00", "\ud800", "none"]
)
def test_what_is_no_tenant_is_refused_in_the_same_words(tenants: Tenants, name: str) -> None:
    for asked in (tenants.open, tenants.root):
        with pytest.raises(NotFound, match="there is no such tenant"):
            asked(name)
    if name != "none":
        with pytest.raises(UsageError, match="no name of a tenant"):
            tenants.create(name, config_text=CONFIG)


def test_a_link_into_another_tenant_is_no_tenant(tenants: Tenants) -> None:
    (tenants.folder / "twin").symlink_to(tenants.folder / "acme")
    assert tenants.names() == ("acme", "globex")
    with pytest.raises(NotFound):
        tenants.open("twin")
    with pytest.raises(UsageError):
        tenants.create("acme", config_text=CONFIG)
