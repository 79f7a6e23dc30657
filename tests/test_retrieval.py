"""What leaves the retriever: readable now, current now; compared with brute force, and with the checks switched off."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hashing import HashEmbedder

from groundtune.access.audience import may_read
from groundtune.access.register import AccessRegister
from groundtune.answer.retrieval import WorkspaceRetriever
from groundtune.config import Retrieval
from groundtune.errors import NotFound, UsageError, WorkspaceError
from groundtune.index.lance import LanceIndex
from groundtune.index.versions import IndexVersions
from groundtune.ingest.sync import sync
from groundtune.interfaces import Retriever
from groundtune.store.workspace import Workspace
from groundtune.types import EVERYTHING, NOBODY, Audience, Caller, Filter

RULES = '[access]\nrules = [{match = "hr/**", read = ["hr"], deny = ["guest"]}, {match = "*.md", read = ["everyone"]}]\n'
TEXTS = {
    "holiday.md": "# Holiday\n\nEmployees get twenty days of holiday.",
    "hr/pay.md": "# Pay\n\nThe salary of directors is nine hundred. Employees get less.",
    "lost.txt": "A zeppelin that nobody may read about.",
}
HR, OTHER = Caller.of("hr"), Caller.of("sales")


@pytest.fixture
def embedder() -> HashEmbedder:
    return HashEmbedder()


@pytest.fixture
def workspace(tmp_path: Path, embedder: HashEmbedder) -> Iterator[Workspace]:
    for name, text in TEXTS.items():
        put(tmp_path, name, text)
    with Workspace.create(tmp_path, config_text=RULES) as opened:
        sync(opened, embedder=embedder)
        yield opened


@pytest.fixture
def retriever(workspace: Workspace, embedder: HashEmbedder) -> WorkspaceRetriever:
    return WorkspaceRetriever(workspace, embedder=embedder)


def put(root: Path, name: str, text: str) -> None:
    path = root / "documents" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def found(retriever: Retriever, question: str, caller: Caller, k: int = 5) -> list[str]:
    return [hit.chunk.document for hit in retriever.search(question, caller=caller, k=k)]


def test_hits_carry_chunk_title_ranks_and_score(retriever: WorkspaceRetriever) -> None:
    first, second = retriever.search("salary of directors", caller=HR, k=5)
    assert first.chunk.document == "hr/pay.md"
    assert TEXTS["hr/pay.md"][first.chunk.start : first.chunk.end] == first.chunk.text
    assert (first.title, dict(first.ranks)) == ("Pay", {"text": 1, "vector": 1})
    assert first.score == 1.0
    assert dict(second.ranks) == {"vector": 2}
    assert second.score == 0.0
    assert len(retriever.search("salary of directors", caller=HR, k=1)) == 1


def test_what_a_caller_may_not_read_is_not_found(retriever: WorkspaceRetriever) -> None:
    assert found(retriever, "salary of directors", OTHER) == ["holiday.md"]
    assert found(retriever, "salary of directors", Caller.of("hr", "guest")) == ["holiday.md"]
    assert found(retriever, "zeppelin", HR) == found(retriever, "zeppelin", HR, k=50)
    assert "lost.txt" not in found(retriever, "zeppelin", HR)


def test_absent_and_forbidden_documents_are_refused_in_the_same_words(retriever: WorkspaceRetriever) -> None:
    said = []
    for caller, name in ((OTHER, "hr/pay.md"), (OTHER, "hr/none.md"), (HR, "lost.txt"), (HR, "../groundtune.toml")):
        with pytest.raises(NotFound) as caught:
            retriever.document(name, caller=caller)
        said.append(str(caught.value).replace(name, "NAME"))
        assert (caught.value.subject, caught.value.remedy) == (name, "")
    assert len(set(said)) == 1
    document = retriever.document("hr/pay.md", caller=HR)
    assert (document.text, document.title, document.format) == (TEXTS["hr/pay.md"], "Pay", "md")


def test_audience_is_that_of_the_register(retriever: WorkspaceRetriever) -> None:
    assert retriever.audience("hr/pay.md") == Audience.of("hr", denied=("guest",))
    assert retriever.audience("lost.txt") == retriever.audience("absent") == NOBODY


def test_revoked_at_once_without_a_sync(workspace: Workspace, retriever: WorkspaceRetriever) -> None:
    assert "hr/pay.md" in found(retriever, "salary", HR)
    AccessRegister(workspace.database).assign({"hr/pay.md": Audience.of("board")})
    assert "hr/pay.md" not in found(retriever, "salary", HR)
    assert not retriever.shares_content_word("salary", caller=HR)
    with pytest.raises(NotFound):
        retriever.document("hr/pay.md", caller=HR)


def test_removed_and_changed_text_is_gone_from_open_readers(
    workspace: Workspace, retriever: WorkspaceRetriever, embedder: HashEmbedder
) -> None:
    assert found(retriever, "salary", HR)[0] == "hr/pay.md"
    (workspace.documents / "hr/pay.md").unlink()
    put(workspace.root, "holiday.md", "# Leisure\n\nThirty now.")
    sync(workspace, embedder=embedder)
    (hit,) = retriever.search("salary", caller=HR, k=5)
    assert (hit.title, hit.chunk.text) == ("Leisure", "# Leisure\n\nThirty now.")
    assert not retriever.shares_content_word("salary directors twenty", caller=HR)


def test_chunks_of_an_older_text_never_leave(
    workspace: Workspace, retriever: WorkspaceRetriever, embedder: HashEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off after the database knows the new text and before the index does: neither half is shown."""
    put(workspace.root, "holiday.md", "# Leisure\n\nThirty now.")
    (workspace.documents / "hr/pay.md").unlink()

    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("groundtune.ingest.sync._update_index", cut_off)
        with pytest.raises(KeyboardInterrupt):
            sync(workspace, embedder=embedder)
    assert found(retriever, "salary holiday", HR) == []
    sync(workspace, embedder=embedder)
    assert found(retriever, "salary holiday", HR) == ["holiday.md"]


def test_an_open_reader_follows_to_a_new_version(workspace: Workspace, embedder: HashEmbedder) -> None:
    reader = WorkspaceRetriever(workspace, embedder=embedder)
    before = found(reader, "salary", HR)
    (workspace.root / "groundtune.toml").write_text("[chunking]\ntokens = 99\n" + RULES)
    with Workspace.open(workspace.root) as changed:
        sync(changed, embedder=embedder)
    assert not (workspace.state / "index" / "000001").exists()
    assert found(reader, "salary", HR) == before


def test_content_words_are_those_of_readable_documents(retriever: WorkspaceRetriever) -> None:
    assert retriever.shares_content_word("What is the director's salary?", caller=HR)
    assert not retriever.shares_content_word("What is the director's salary?", caller=OTHER)
    assert retriever.shares_content_word("How many holidays?", caller=OTHER)
    assert not retriever.shares_content_word("Who are you and what would they do?", caller=HR)
    assert not retriever.shares_content_word("Where was the zeppelin built?", caller=HR)
    assert not retriever.shares_content_word("salary", caller=Caller.of("guest"))
    assert retriever.shares_content_word("休暇は何日ですか", caller=HR)


def test_a_caller_without_any_audience_costs_no_search(
    retriever: WorkspaceRetriever, embedder: HashEmbedder, workspace: Workspace
) -> None:
    AccessRegister(workspace.database).assign(dict.fromkeys(TEXTS, NOBODY) | {"hr/pay.md": Audience.of("board")})
    embedder.embedded.clear()
    register = AccessRegister(workspace.database)
    if not register.allowed(Caller.of("nobody known")):
        assert retriever.search("salary", caller=Caller.of("nobody known"), k=5) == []
        assert embedder.embedded == []
    assert retriever.search("salary", caller=OTHER, k=5) == []


def test_the_fingerprint_follows_whatever_may_change_results(
    workspace: Workspace, retriever: WorkspaceRetriever, embedder: HashEmbedder
) -> None:
    seen = [retriever.fingerprint]
    sync(workspace, embedder=embedder)
    assert retriever.fingerprint == seen[0]
    assert WorkspaceRetriever(workspace, embedder=embedder).fingerprint == seen[0]
    put(workspace.root, "holiday.md", "Other text.")
    sync(workspace, embedder=embedder)
    seen.append(retriever.fingerprint)
    AccessRegister(workspace.database).assign({"holiday.md": Audience.of("hr")})
    seen.append(retriever.fingerprint)
    (workspace.root / "groundtune.toml").write_text("[retrieval]\nrrf_k = 10\n" + RULES)
    with Workspace.open(workspace.root) as changed:
        seen.append(WorkspaceRetriever(changed, embedder=embedder).fingerprint)
    assert len(set(seen)) == len(seen)


def test_questions_are_embedded_once(retriever: WorkspaceRetriever, embedder: HashEmbedder) -> None:
    embedder.embedded.clear()
    for caller in (HR, OTHER, HR):
        retriever.search("salary", caller=caller, k=2)
    assert embedder.embedded == ["salary"]


def test_before_a_sync_and_with_another_embedder_it_says_what_to_do(
    tmp_path_factory: pytest.TempPathFactory, workspace: Workspace, embedder: HashEmbedder
) -> None:
    with Workspace.create(tmp_path_factory.mktemp("new"), config_text=RULES) as fresh:
        AccessRegister(fresh.database).assign({"a.md": Audience.of("hr")})
        with pytest.raises(NotFound, match="groundtune sync"):
            WorkspaceRetriever(fresh, embedder=embedder).search("x", caller=HR, k=1)
    other = WorkspaceRetriever(workspace, embedder=HashEmbedder(fingerprint="other"))
    with pytest.raises(UsageError, match="groundtune sync"):
        other.search("x", caller=HR, k=1)
    for file in (workspace.state / "index").rglob("*.manifest"):
        file.write_bytes(b"")
    with pytest.raises(WorkspaceError, match="groundtune sync"):
        WorkspaceRetriever(workspace, embedder=embedder).search("x", caller=HR, k=1)


# --- no leak ------------------------------------------------------------------------------------------------------------

PRINCIPALS = ("a", "b", "c", "d", "e'; --", "", "日本")
WORDS = ("zebra", "apple", "tiger", "river", "cloud", "stone", "lamp", "grass")


class Town:
    """Many documents with random audiences, and who may read what, judged without the index and without the register."""

    def __init__(self, root: Path) -> None:
        self.random = np.random.default_rng(7)
        self.embedder = HashEmbedder(dimensions=16)
        rules = '[access]\nrules = [{match = "**", read = ["everyone"]}]\n'
        for number in range(60):
            put(root, f"d{number:02}.md", " ".join(self.random.choice(WORDS, 12)))
        self.workspace = Workspace.create(root, config_text=rules)
        sync(self.workspace, embedder=self.embedder)
        self.register = AccessRegister(self.workspace.database)
        self.truth: dict[str, Audience] = {}
        self.shuffle(range(60))

    def shuffle(self, numbers: range) -> None:
        """New random audiences in the database; the index learns nothing of them."""
        changes = {f"d{number:02}.md": self.audience() for number in numbers}
        self.register.assign(changes)
        self.truth |= changes

    def audience(self) -> Audience:
        clauses = [frozenset(self.some(1, 3)) for _ in range(self.random.integers(0, 3))]
        return Audience(frozenset(clauses), frozenset(self.some(0, 1)))

    def some(self, low: int, high: int) -> list[str]:
        return [
            str(name) for name in self.random.choice(PRINCIPALS, self.random.integers(low, high + 1), replace=False) if name
        ]

    def refresh(self) -> None:
        """Let the index follow, as a sync would."""
        versions = IndexVersions(self.workspace.state / "index", database=self.workspace.database)
        ids = {name: self.register.intern(audience) for name, audience in self.truth.items()}
        versions.open(versions.current()).assign(ids)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    made = Town(tmp_path_factory.mktemp("town"))
    yield made
    made.workspace.close()


def leaks(town: Town, retriever: WorkspaceRetriever, rounds: int) -> tuple[int, int, int]:
    """(unauthorised items, missed readable bests, times that something forbidden would have ranked) over random questions."""
    forbidden = missed = tempting = 0
    versions = IndexVersions(town.workspace.state / "index", database=town.workspace.database)
    every = frozenset(range(1, 10_000))
    index = versions.open(versions.current())
    for _ in range(rounds):
        caller = Caller.of(*town.some(0, 3))
        question = " ".join(town.random.choice(WORDS, 3))
        hits = retriever.search(question, caller=caller, k=3)
        readable = {name for name, audience in town.truth.items() if may_read(audience, caller)}
        forbidden += sum(hit.chunk.document not in readable for hit in hits)
        open_to_all = index.search(question, town.embedder.embed([question])[0], audiences=every, k=3)
        tempting += any(row.chunk.document not in readable for row in open_to_all)
        missed += min(3, len(readable)) - len(hits)
    return forbidden, missed, tempting


def test_no_leak_and_nothing_missed_with_a_fresh_index(town: Town) -> None:
    town.refresh()
    forbidden, missed, tempting = leaks(town, WorkspaceRetriever(town.workspace, embedder=town.embedder), 60)
    assert (forbidden, missed) == (0, 0)
    assert tempting > 45


def test_no_leak_through_warm_readers_when_the_index_knows_nothing_yet(town: Town) -> None:
    retriever = WorkspaceRetriever(town.workspace, embedder=town.embedder)
    for start in itertools.chain(range(0, 60, 20)):
        town.shuffle(range(start, start + 20))
        assert leaks(town, retriever, 25)[0] == 0


def test_without_the_final_check_the_same_test_fails(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.refresh()
    town.shuffle(range(60))
    retriever = WorkspaceRetriever(town.workspace, embedder=town.embedder)
    monkeypatch.setattr(WorkspaceRetriever, "_checked", lambda self, found, caller, rows=None: list(found))
    assert leaks(town, retriever, 40)[0] > 0


def test_without_the_filter_readable_chunks_are_crowded_out(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.refresh()
    search = LanceIndex.search

    def unfiltered(
        self: LanceIndex, query: str, vector: np.ndarray, *, audiences: frozenset[int], k: int, filter: Filter = EVERYTHING
    ) -> object:
        return search(self, query, vector, audiences=frozenset(range(1, 10_000)), k=k, filter=filter)

    monkeypatch.setattr(LanceIndex, "search", unfiltered)
    shallow = WorkspaceRetriever(town.workspace, embedder=town.embedder, settings=Retrieval(depth=4))
    forbidden, missed, _ = leaks(town, shallow, 40)
    assert forbidden == 0
    assert missed > 0
