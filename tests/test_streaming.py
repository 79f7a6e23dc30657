"""Answers while they are written: the same words as all at once, and nothing after a revocation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import groundtune
from groundtune.answer.assistant import NO_SHARED_WORD, TAKEN_AWAY, Assistant
from groundtune.answer.citations import split_markers, unmarked
from groundtune.answer.neighbours import Neighbours
from groundtune.cli.main import run
from groundtune.errors import AccessDenied, UsageError
from groundtune.interfaces import Pieces, Streaming
from groundtune.models.fake import FakeEmbedder, FakeModel
from groundtune.types import (
    Audience,
    Caller,
    Candidate,
    Chunk,
    Example,
    Generation,
    Hit,
    Message,
    NearestExamples,
    Query,
    RetrievedContext,
    Usage,
)
from tests.firm import CONFIG, write_firm

STAFF = Caller.of("staff")
HIT = Hit(Chunk("a.md#0-36", "a.md", "The limit is 40 euros. Ask the desk.", 0, 36), "Travel", 1.0)
RAG = Candidate("rag", "test:says", context=RetrievedContext(k=1))


class Shelf:
    """One document, whose readers can be changed."""

    fingerprint = "shelf"

    def __init__(self) -> None:
        self.readers = Audience.of("staff")

    def search(self, question: str | Query, *, caller: Caller, k: int) -> list[Hit]:
        return [HIT]

    def audience(self, document: str) -> Audience:
        return self.readers

    def shares_content_word(self, question: str | Query, *, caller: Caller) -> bool:
        return True


class Says:
    """Writes `text` in pieces of three letters; calls `between` before the third."""

    name = fingerprint = "test:says"
    local, window = True, None

    def __init__(self, text: str) -> None:
        self.text = text
        self.between = lambda: None
        self.closed = False

    def stream(self, conversation: Sequence[Message], *, max_new_tokens: int) -> Pieces:
        try:
            for number, start in enumerate(range(0, len(self.text), 3)):
                if number == 2:
                    self.between()
                yield self.text[start : start + 3]
        finally:
            self.closed = True
        return Generation(self.text, Usage(1, 2))

    def generate(self, conversations: Sequence[Sequence[Message]], *, max_new_tokens: int) -> list[Generation]:
        self.between()
        return [Generation(self.text, Usage(1, 2)) for _ in conversations]

    def count_tokens(self, text: str) -> int:
        return len(text.split())


def read(pieces: Iterator[str]) -> tuple[list[str], object]:
    shown = []
    while True:
        try:
            shown.append(next(pieces))
        except StopIteration as end:
            return shown, end.value


@pytest.mark.parametrize(
    "text",
    [
        "40 euros [1]",
        "a [1] b [22] c",
        "see [x] and [",
        "[1]",
        "x [ 1] y",
        "a  [3]\n[4] b",
        "no marker at all",
        "[[1]]",
        "a [123] b",
    ],
)
@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_markers_are_taken_out_of_pieces_as_out_of_the_whole(text: str, size: int) -> None:
    def pieces() -> Pieces:
        yield from (text[start : start + size] for start in range(0, len(text), size))
        return Generation(text)

    shown, generation = read(unmarked(pieces()))
    assert "".join(shown).strip() == split_markers(text)[0]
    assert generation == Generation(text)


def test_pieces_and_answer_are_those_of_ask() -> None:
    model = Says("The limit is 40 euros [1].")
    assert isinstance(model, Streaming)
    assistant = Assistant(RAG, model=model, retriever=Shelf())
    shown, answer = read(assistant.stream("What is the limit?", caller=STAFF))
    assert len(shown) > 3
    whole = assistant.ask("What is the limit?", caller=STAFF)
    assert "".join(shown) == answer.text == whole.text
    assert (answer.citations, answer.usage, answer.context) == (whole.citations, whole.usage, whole.context)
    assert answer.citations
    assert answer.seconds > 0


@pytest.mark.parametrize("words", [("Not in the documents.")])
def test_the_answer_abstains_though_words_were_shown(words: str) -> None:
    shown, answer = read(Assistant(RAG, model=Says(words), retriever=Shelf()).stream("Limit?", caller=STAFF))
    assert "".join(shown) == words
    assert answer.abstained


def test_a_revocation_while_the_model_writes_ends_the_stream_and_takes_the_answer_away() -> None:
    shelf, model = Shelf(), Says("The limit is 40 euros.")

    def revoke() -> None:
        shelf.readers = Audience.of("board")

    model.between = revoke
    assistant = Assistant(RAG, model=model, retriever=shelf)
    shown, answer = read(assistant.stream("Limit?", caller=STAFF))
    assert "".join(shown) == "The li"
    assert (answer.abstained, answer.reason, answer.citations, answer.context) == (True, TAKEN_AWAY, (), ())
    assert model.closed
    shelf.readers = Audience.of("staff")
    assert assistant.ask("Limit?", caller=STAFF).reason == TAKEN_AWAY


def test_examples_and_weights_are_asked_for_again_too() -> None:
    allowed = {"examples": True, "weights": True}
    near = Neighbours(
        [Example("1", "What is the limit?", ("40",))],
        embedder=FakeEmbedder("hash"),
        readable=lambda example, principals: allowed["examples"],
    )
    for part in allowed:
        model = Says("40 euros")
        candidate = Candidate("few_shot", "test:says", examples=NearestExamples(k=1))
        assistant = Assistant(
            candidate, model=model, neighbours=near, audience=lambda: Audience.of("staff") if allowed["weights"] else Audience()
        )
        assert assistant.ask("Limit?", caller=STAFF).text == "40 euros"
        model.between = lambda part=part: allowed.__setitem__(part, False)
        assert assistant.ask("Limit?", caller=STAFF).reason == TAKEN_AWAY
        allowed[part] = True


def test_a_stream_that_nobody_reads_on_stops_the_model() -> None:
    model = Says("The limit is 40 euros.")
    pieces = Assistant(RAG, model=model, retriever=Shelf()).stream("Limit?", caller=STAFF)
    next(pieces)
    pieces.close()
    assert model.closed


def test_the_fake_streams_what_it_generates() -> None:
    conversation = [Message("user", "Question: one, two  three?")]
    model = FakeModel("echo")
    for limit in (2, 50):
        shown, generation = read(model.stream(conversation, max_new_tokens=limit))
        assert [generation] == model.generate([conversation], max_new_tokens=limit)
        assert "".join(shown) == generation.text


def test_library_and_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_firm(tmp_path, config=CONFIG + '[index]\nbackend = "sqlite"\n')
    groundtune.sync(root)
    question = "Where is the kettle kept?"
    whole = groundtune.ask(question, root=root, principals=["staff"])
    stream = groundtune.ask_stream(question, root=root, principals=["staff"])
    with pytest.raises(UsageError, match="not finished"):
        _ = stream.answer
    assert "".join(stream) == stream.answer.text == whole.text
    assert stream.answer.citations == whole.citations
    nothing = groundtune.ask_stream("Quagga?", root=root, principals=["staff"])
    assert list(nothing) == []
    assert nothing.answer.reason == NO_SHARED_WORD
    stopped = groundtune.ask_stream(question, root=root, principals=["staff"])
    assert next(iter(stopped))
    stopped.close()
    capsys.readouterr()
    for options in ([], ["--stream"]):
        assert run(["ask", question, "-w", str(root), "--as", "staff", *options]) == 0
    once, streamed = (part for part in capsys.readouterr().out.split(whole.text + "\n") if part)
    assert once.startswith("\n[1]") == streamed.startswith("\n[1]")
    assert once == streamed


def test_weights_that_a_caller_may_not_use_stream_nothing() -> None:
    assistant = Assistant(Candidate("tuned", "test:says"), model=Says("x"), audience=lambda: Audience.of("board"))
    with pytest.raises(AccessDenied):
        next(assistant.stream("Is it?", caller=STAFF))
