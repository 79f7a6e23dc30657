"""Questions in a conversation: what is searched for, and how much earlier questions count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hashing import HashEmbedder

from groundtune.answer.follow_up import ModelRewrite, as_asked, rewriting, with_earlier
from groundtune.answer.retrieval import WorkspaceRetriever
from groundtune.config import Retrieval
from groundtune.ingest.sync import sync
from groundtune.store.workspace import Workspace
from groundtune.types import Caller, Example, Generation, Message, Query

HISTORY = (
    Message("user", "Who sells the kettle?"),
    Message("assistant", "The shop"),
    Message("user", "What does the ladder weigh?"),
    Message("assistant", "9 kg"),
    Message("user", "And its price?"),
    Message("assistant", "40 euros"),
)
ASKED = Example("1", "Where is it kept?", (), history=HISTORY)


class Says:
    def __init__(self, text: str) -> None:
        self.text = text
        self.read: list[str] = []

    def generate(self, conversations: Sequence[Sequence[Message]], *, max_new_tokens: int) -> list[Generation]:
        self.read += [turns[-1].content for turns in conversations]
        return [Generation(self.text) for _ in conversations]


def test_the_last_two_questions_before_it_still_count() -> None:
    assert with_earlier(ASKED) == Query("Where is it kept?", ("And its price?", "What does the ladder weigh?"))
    assert str(with_earlier(ASKED)) == "What does the ladder weigh?\nAnd its price?\nWhere is it kept?"
    assert as_asked(ASKED) == Query("Where is it kept?") == Query.of("Where is it kept?")
    assert with_earlier(Example("1", "Why?", ())) == Query("Why?")
    assert (rewriting("words"), rewriting("off")) == (with_earlier, as_asked)


@pytest.mark.parametrize(
    ("said", "searched"), [("Where is the ladder\nkept?", Query("Where is the ladder kept?")), ("Paris", with_earlier(ASKED))]
)
def test_a_model_rewrites_and_its_nonsense_is_not_used(said: str, searched: Query) -> None:
    model = Says(said)
    assert rewriting("model", model=model)(ASKED) == searched
    assert "user: And its price?" in model.read[0]
    assert "user: Where is it kept?" in model.read[0]
    assert ModelRewrite(model)(Example("1", "Alone?", ())) == Query("Alone?")
    assert len(model.read) == 1


@pytest.fixture
def retriever(tmp_path: Path) -> Iterator[WorkspaceRetriever]:
    documents = tmp_path / "documents"
    documents.mkdir()
    for thing in ("ladder", "kettle", "scanner"):
        (documents / f"{thing}.md").write_text(f"# {thing}\n\nThis {thing} is stored somewhere.")
    settings = '[index]\nbackend = "sqlite"\n[access]\nrules = [{match = "**", read = ["everyone"]}]\n'
    with Workspace.create(tmp_path, config_text=settings) as workspace:
        embedder = HashEmbedder()
        sync(workspace, embedder=embedder)
        yield WorkspaceRetriever(workspace, embedder=embedder, settings=Retrieval(vector_weight=0))


def test_earlier_questions_find_what_the_last_one_refers_to(retriever: WorkspaceRetriever) -> None:
    def best(query: str | Query) -> str:
        return retriever.search(query, caller=Caller(), k=1)[0].chunk.document

    assert best(Query("Where is it stored?", ("What does the ladder weigh?", "Who sells the kettle?"))) == "ladder.md"
    assert best(Query("Where is the scanner stored?", ("What does the ladder weigh?",))) == "scanner.md"
    assert retriever.shares_content_word(Query("Why?", ("the ladder",)), caller=Caller())
    assert not retriever.shares_content_word(Query("Why?", ("the zebra",)), caller=Caller())


def test_the_vector_of_a_follow_up_lies_between_those_of_its_questions(retriever: WorkspaceRetriever) -> None:
    one, other = retriever.embedder.embed(["scanner", "ladder"])
    mean = retriever._mean((("scanner", 4), ("ladder", 2)))
    wanted = 4 * one + 2 * other
    assert np.allclose(mean, wanted / np.linalg.norm(wanted), atol=1e-6)
