"""groundtune.answer.whole: which documents a prompt shows whole, who may see them, and what happens when they do not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from groundtune.answer.assistant import NOTHING_FITS, Assistant
from groundtune.answer.whole import whole_documents
from groundtune.errors import NotFound
from groundtune.models.fake import FakeModel
from groundtune.types import Audience, Caller, Candidate, Chunk, Document, Example, Hit, WholeDocuments

STAFF = Caller.of("staff")
LONG = Candidate("long_context", "fake:extract", context=WholeDocuments())


class Shelf:
    """Documents of so many words each; `readers` may change at any moment."""

    fingerprint = "shelf"

    def __init__(self, **words: int) -> None:
        self.texts = {name: " ".join([name] * count) for name, count in words.items()}
        self.readers = {name: {"staff"} for name in words}
        self.best: list[str] = []

    def search(self, question: str, *, caller: Caller, k: int) -> list[Hit]:
        readable = [name for name in self.best if self.readers[name] & caller.principals]
        return [Hit(Chunk(f"{name}#0-1", name, self.texts[name][:1], 0, 1), name, 1.0) for name in readable][:k]

    def document(self, document: str, *, caller: Caller) -> Document:
        if not self.readers.get(document, set()) & caller.principals:
            raise NotFound("no such document", subject=document)
        return Document(document, "", self.texts[document], "")

    def audience(self, document: str) -> Audience:
        return Audience.of(*self.readers[document])

    def shares_content_word(self, question: str, *, caller: Caller) -> bool:
        return True

    def readable_documents(self, *, caller: Caller) -> list[str]:
        return sorted(name for name, readers in self.readers.items() if readers & caller.principals)


def shown(shelf: Shelf, *, room: int, context: WholeDocuments | None = None, caller: Caller = STAFF) -> list[str]:
    hits = whole_documents(
        "q",
        context or WholeDocuments(),
        shelf=shelf,
        caller=caller,
        count_tokens=lambda text: len(text.split()),
        room=room,
    )
    assert all(hit.chunk.text == shelf.texts[hit.chunk.document] for hit in hits), "none is cut"
    assert all(hit.chunk.id == f"{hit.chunk.document}#0-{len(hit.chunk.text)}" for hit in hits)
    return [hit.chunk.document for hit in hits]


@pytest.fixture
def shelf() -> Shelf:
    made = Shelf(a=100, b=200, c=300)
    made.best = ["c", "a", "c", "b"]
    return made


def test_all_that_fit_are_shown_in_a_fixed_order(shelf: Shelf) -> None:
    assert shown(shelf, room=700) == ["a", "b", "c"]


def test_when_they_do_not_fit_the_best_are_shown_first_and_what_is_too_long_is_passed_over(shelf: Shelf) -> None:
    assert shown(shelf, room=600) == ["c", "a"]
    assert shown(shelf, room=250) == ["a"]
    assert shown(shelf, room=50) == []


def test_only_the_best_where_that_is_asked(shelf: Shelf) -> None:
    assert shown(shelf, room=9999, context=WholeDocuments(documents="best", k=2)) == ["c", "a"]
    assert shown(shelf, room=9999, context=WholeDocuments(max_tokens=400)) == ["c"]
    assert shown(shelf, room=200, context=WholeDocuments(max_tokens=400)) == ["a"]


def test_access_is_asked_at_each_request(shelf: Shelf) -> None:
    assert shown(shelf, room=700, caller=Caller.of("guest")) == []
    shelf.readers["b"] = {"board"}
    assert shown(shelf, room=700) == ["a", "c"]
    assert shown(shelf, room=700, caller=Caller.of("board")) == ["b"]


def test_what_is_revoked_between_listing_and_reading_is_not_shown(shelf: Shelf) -> None:
    listed = shelf.readable_documents(caller=STAFF)
    shelf.readers["b"] = {"board"}
    shelf.readable_documents = lambda *, caller: listed  # type: ignore[method-assign]
    assert shown(shelf, room=700) == ["a", "c"]


class Small(FakeModel):
    def __init__(self, window: int) -> None:
        super().__init__("extract")
        self.window = window
        self.read: list[int] = []

    def generate(self, conversations, *, max_new_tokens):  # type: ignore[no-untyped-def]
        self.read += [sum(self.count_tokens(message.content) for message in one) + max_new_tokens for one in conversations]
        return super().generate(conversations, max_new_tokens=max_new_tokens)


@pytest.mark.parametrize("window", [400, 500, 750, 1000])
def test_prompt_and_answer_stay_within_the_window(shelf: Shelf, window: int) -> None:
    model = Small(window)
    assistant = Assistant(LONG, model=model, retriever=shelf)
    examples: Sequence[Example] = [Example("1", "What is a? " + "really " * 40, (), principals=("staff",))]
    (answer,) = assistant(examples)
    assert model.read[0] <= window
    assert answer.context
    assert assistant.documents_shown(examples[0]) == (len(answer.context), 3)


def test_where_nothing_fits_the_model_is_not_asked(shelf: Shelf) -> None:
    model = Small(150)
    (answer,) = Assistant(LONG, model=model, retriever=shelf)([Example("1", "What is a?", (), principals=("staff",))])
    assert (answer.abstained, answer.reason, model.read) == (True, NOTHING_FITS, [])


def test_a_named_limit_serves_where_the_window_is_not_known(shelf: Shelf) -> None:
    model = FakeModel("extract")
    model.window = None
    limited = replace(LONG, context=WholeDocuments(max_tokens=400))
    (answer,) = Assistant(limited, model=model, retriever=shelf)([Example("1", "What is a?", (), principals=("staff",))])
    assert answer.context == (f"c#0-{len(shelf.texts['c'])}",)
