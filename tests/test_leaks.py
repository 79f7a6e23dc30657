"""No leak: through search, ask, citations, few-shot examples and tuned weights nobody sees what they may not read."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import groundtune
from groundtune.access.register import AccessRegister
from groundtune.answer.assistant import NO_SHARED_WORD
from groundtune.answer.retrieval import WorkspaceRetriever
from groundtune.errors import AccessDenied, NotFound
from groundtune.ingest.sync import sync
from groundtune.models import load_embedder
from groundtune.models.fake import FakeModel
from groundtune.store.workspace import Workspace
from groundtune.types import Caller, Generation, Message
from groundtune.verbs.knowledge import open_assistant
from tests.firm import CONFIG, SECRET, write_firm

PAIRS = 500
PRINCIPALS = [f"team-{number}" for number in range(6)]
WORDS = ["amber", "basalt", "cobalt", "dune", "ember", "fjord", "granite", "heath", "iris", "juniper", "kelp", "lagoon"]


class World:
    """Forty documents with random audiences, and a brute-force account of who may read which."""

    def __init__(self, root: Path) -> None:
        draw = random.Random(7)
        (root / "documents").mkdir(parents=True)
        self.readers: dict[str, tuple[list[list[str]], list[str]]] = {}
        rules = []
        for number in range(40):
            name = f"note-{number:02}.md"
            clauses = [draw.sample(PRINCIPALS, draw.randint(1, 3)) for _ in range(draw.randint(0, 2))]
            denied = draw.sample(PRINCIPALS, draw.randint(0, 1))
            words = " ".join(draw.choices(WORDS, k=12))
            (root / "documents" / name).write_text(
                f"# Title{number:02}secret\n\n{words} marker{number:02}.\n", encoding="utf-8"
            )
            self.readers[name] = (clauses, denied)
            rules.append(f'[[access.rules]]\nmatch = "{name}"\nread = {clauses}\ndeny = {denied}\n'.replace("'", '"'))
        text = 'model = "fake:extract"\nembedder = "fake:hash"\n' + "".join(rules)
        (root / "groundtune.toml").write_text(text, encoding="utf-8")
        self.workspace = Workspace.open(root)
        self.embedder = load_embedder("fake:hash")
        sync(self.workspace, embedder=self.embedder)
        self.retriever = WorkspaceRetriever(self.workspace, embedder=self.embedder)
        self.pairs = [
            (draw.sample(PRINCIPALS, draw.randint(0, 3)), " ".join(draw.choices(WORDS, k=draw.randint(1, 3))))
            for _ in range(PAIRS)
        ]

    def may_read(self, name: str, principals: Sequence[str]) -> bool:
        clauses, denied = self.readers[name]
        return bool(clauses) and all(set(clause) & set(principals) for clause in clauses) and not set(denied) & set(principals)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"))
    yield world
    world.workspace.close()


def test_search_returns_exactly_what_a_caller_may_read(world: World) -> None:
    """Random callers and queries that would otherwise find forbidden documents; every finding is checked by brute force."""
    everything = AccessRegister(world.workspace.database)
    tempted = 0
    for principals, query in world.pairs:
        hits = world.retriever.search(query, caller=Caller.of(*principals), k=5)
        assert all(world.may_read(hit.chunk.document, principals) for hit in hits)
        readable = [name for name in world.readers if world.may_read(name, principals)]
        assert len(hits) == min(5, len(readable))
        assert everything.readable(world.readers, Caller.of(*principals)) == set(readable)
        tempted += len(readable) < 40
    assert tempted == PAIRS


def test_with_the_filter_off_the_same_search_leaks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: without the register's word, forbidden documents come out."""
    everyone = frozenset(range(1, 1000))
    monkeypatch.setattr(AccessRegister, "allowed", lambda self, caller: everyone)
    monkeypatch.setattr(AccessRegister, "readable", lambda self, names, caller: set(names))
    leaks = 0
    for principals, query in world.pairs:
        hits = world.retriever.search(query, caller=Caller.of(*principals), k=5)
        leaks += sum(not world.may_read(hit.chunk.document, principals) for hit in hits)
    assert leaks > PAIRS


def test_the_last_check_alone_holds_when_the_index_forgets_to_filter(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    everyone = frozenset(range(1, 1000))
    monkeypatch.setattr(AccessRegister, "allowed", lambda self, caller: everyone)
    for principals, query in world.pairs[:100]:
        hits = world.retriever.search(query, caller=Caller.of(*principals), k=5)
        assert all(world.may_read(hit.chunk.document, principals) for hit in hits)


def test_absent_and_forbidden_documents_are_told_apart_by_nothing(world: World) -> None:
    name = next(name for name in world.readers if not world.may_read(name, []))
    messages = []
    for asked in (name, "note-99.md"):
        with pytest.raises(NotFound) as raised:
            world.retriever.document(asked, caller=Caller())
        messages.append(str(raised.value).replace(asked, "NAME"))
    assert messages[0] == messages[1]


def test_ask_abstains_alike_for_a_forbidden_and_for_an_absent_subject(tmp_path: Path) -> None:
    root = write_firm(tmp_path)
    groundtune.sync(root)
    assert SECRET in groundtune.ask(f"plans for {SECRET}", root=root, principals=["staff", "board"]).citations[0].title
    forbidden = groundtune.ask(f"{SECRET} costs", root=root, principals=["staff"])
    absent = groundtune.ask("Quagga costs", root=root, principals=["staff"])
    assert replace(forbidden, seconds=0.0) == replace(absent, seconds=0.0)
    assert forbidden.abstained
    assert forbidden.reason == NO_SHARED_WORD
    assert groundtune.search(SECRET, root=root) == ()


def test_a_revocation_is_felt_by_an_assistant_that_is_already_open(tmp_path: Path) -> None:
    root = write_firm(tmp_path)
    groundtune.sync(root)
    with Workspace.open(root) as workspace:
        assistant = open_assistant(workspace, candidate="rag")
        staff = Caller.of("staff")
        assert assistant.ask("Where is the kettle kept?", caller=staff).citations
        (root / "documents" / "kettle.md.access.toml").write_text('read = ["board"]\n', encoding="utf-8")
        groundtune.sync(root)
        answer = assistant.ask("Where is the kettle kept?", caller=staff)
        assert all(citation.document != "kettle.md" for citation in answer.citations)
        assert not any(chunk.startswith("kettle.md") for chunk in answer.context)


def test_few_shot_shows_only_examples_whose_evidence_the_caller_may_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    generate = FakeModel.generate

    def watch(self: FakeModel, conversations: Sequence[Sequence[Message]], *, max_new_tokens: int) -> list[Generation]:
        shown.extend(message.content for conversation in conversations for message in conversation)
        return generate(self, conversations, max_new_tokens=max_new_tokens)

    root = write_firm(tmp_path)
    groundtune.sync(root)
    monkeypatch.setattr(FakeModel, "generate", watch)
    groundtune.ask("What does plan 3 cost?", root=root, principals=["staff"], candidate="few_shot")
    assert not any("million" in text for text in shown)
    assert any("weigh" in text or "kept" in text for text in shown)
    shown.clear()
    groundtune.ask("What does plan 3 cost?", root=root, principals=["staff", "board"], candidate="few_shot")
    assert any("million" in text for text in shown)


def test_tuned_weights_are_refused_once_a_document_they_learned_is_taken_away(tmp_path: Path) -> None:
    root = write_firm(tmp_path)
    result = groundtune.train("tuned", root=root)
    assert result.left_out == 5
    assert groundtune.ask("Where is the kettle kept?", root=root, principals=["staff"], candidate="tuned").text
    with pytest.raises(AccessDenied):
        groundtune.ask("Where is the kettle kept?", root=root, candidate="tuned")
    (root / "documents" / "kettle.md").unlink()
    groundtune.sync(root)
    with pytest.raises(AccessDenied):
        groundtune.ask("Where is the ladder kept?", root=root, principals=["staff", "board"], candidate="tuned")


def test_training_refuses_when_the_named_users_may_read_nothing(tmp_path: Path) -> None:
    root = write_firm(tmp_path, config=CONFIG.replace('audience = ["staff"]', 'audience = ["visitors"]'))
    with pytest.raises(groundtune.GroundtuneError, match="visitors"):
        groundtune.train("tuned", root=root)
