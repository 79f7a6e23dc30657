"""groundtune.answer.assistant: what the model is shown, when it is not asked at all, and what becomes of its words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from groundtune.answer.assistant import MODEL_ABSTAINED, NO_SHARED_WORD, NOTHING_FOUND, WEIGHTS_WITHHELD, Assistant
from groundtune.answer.follow_up import as_asked
from groundtune.answer.neighbours import Neighbours
from groundtune.answer.prompts import heading, pack, render_prompt
from groundtune.errors import AccessDenied, NotFound, UsageError
from groundtune.models.fake import FakeEmbedder
from groundtune.types import (
    NOT_IN_DOCUMENTS,
    Answer,
    Audience,
    Caller,
    Candidate,
    Chunk,
    Document,
    Example,
    Generation,
    Hit,
    Message,
    NearestExamples,
    Query,
    RetrievedContext,
    Usage,
)

STAFF = Caller.of("staff")
TEXT = "The limit is 40 euros. Ask the desk."
HIT = Hit(Chunk("a.md#10-46", "a.md", TEXT, 10, 46, headings=("Travel", "Meals")), "Travel", 1.0)
RAG = Candidate("rag", "test:says", context=RetrievedContext(k=2, max_tokens=100))


class Says:
    """A model that says what it was told to and remembers what it was shown."""

    name = "test:says"
    fingerprint = "says"
    local = True

    def __init__(self, text: str) -> None:
        self.text = text
        self.shown: list[Sequence[Message]] = []

    def generate(self, conversations: Sequence[Sequence[Message]], *, max_new_tokens: int) -> list[Generation]:
        self.shown.extend(conversations)
        return [Generation(self.text, Usage(7, 2)) for _ in conversations]

    def count_tokens(self, text: str) -> int:
        return len(text.split())


class Shelf:
    """A retriever that has the hits it was given, for staff."""

    fingerprint = "shelf"

    def __init__(self, hits: Sequence[Hit], *, shares: bool = True) -> None:
        self.hits, self.shares = list(hits), shares
        self.asked: list[str] = []

    def search(self, question: str, *, caller: Caller, k: int) -> list[Hit]:
        self.asked.append(question)
        return self.hits[:k] if "staff" in caller.principals else []

    def document(self, document: str, *, caller: Caller) -> Document:
        raise NotFound("none", subject=document)

    def audience(self, document: str) -> Audience:
        return Audience.of("staff")

    def shares_content_word(self, question: str, *, caller: Caller) -> bool:
        return self.shares


def test_an_answer_comes_with_its_citation_usage_and_seconds() -> None:
    answer = Assistant(RAG, model=Says("40 euros [1]"), retriever=Shelf([HIT])).ask("What is the limit?", caller=STAFF)
    assert answer.text == "40 euros"
    assert [(one.document, one.start, one.end, one.quote) for one in answer.citations] == [
        ("a.md", 10, 32, "The limit is 40 euros.")
    ]
    assert answer.context == ("a.md#10-46",)
    assert answer.usage == Usage(7, 2)
    assert answer.seconds > 0


@pytest.mark.parametrize(
    ("shelf", "reason"),
    [(Shelf([], shares=True), NOTHING_FOUND), (Shelf([HIT], shares=False), NO_SHARED_WORD)],
)
def test_without_anything_to_answer_from_the_model_is_not_asked(shelf: Shelf, reason: str) -> None:
    model = Says("Paris")
    answer = Assistant(RAG, model=model, retriever=shelf).ask("What is the capital?", caller=STAFF)
    assert (answer.text, answer.abstained, answer.reason) == (NOT_IN_DOCUMENTS, True, reason)
    assert model.shown == []


@pytest.mark.parametrize("words", ["Not in the documents.", "It is not in the sources", "", "   "])
def test_a_model_that_says_so_or_nothing_abstains(words: str) -> None:
    answer = Assistant(RAG, model=Says(words), retriever=Shelf([HIT])).ask("What is the limit?", caller=STAFF)
    assert (answer.text, answer.abstained, answer.reason) == (NOT_IN_DOCUMENTS, True, MODEL_ABSTAINED)


def test_weights_are_for_those_who_may_use_them_at_this_moment() -> None:
    allowed = [Audience.of("staff")]
    assistant = Assistant(Candidate("tuned", "test:says"), model=Says("yes"), audience=lambda: allowed[-1])
    assert assistant.ask("Is it?", caller=STAFF).text == "yes"
    with pytest.raises(AccessDenied, match="rag"):
        assistant.ask("Is it?", caller=Caller.of("guest"))
    allowed.append(Audience())
    with pytest.raises(AccessDenied):
        assistant.ask("Is it?", caller=STAFF)
    batch = assistant([Example("1", "Is it?", (), principals=("staff",))])
    assert batch == [Answer(NOT_IN_DOCUMENTS, abstained=True, reason=WEIGHTS_WITHHELD)]


def test_a_batch_keeps_its_order_around_questions_that_need_no_model() -> None:
    model = Says("40 euros")
    assistant = Assistant(RAG, model=model, retriever=Shelf([HIT]))
    asked = [Example(str(n), "What is the limit?", (), principals=(who,)) for n, who in enumerate(["staff", "guest", "staff"])]
    assert [answer.abstained for answer in assistant(asked)] == [False, True, False]
    assert len(model.shown) == 2


def test_examples_come_first_then_history_then_the_question_with_its_sources() -> None:
    shown = render_prompt(
        RAG,
        "And for dinner?",
        hits=[HIT],
        examples=[Example("1", "Who pays?", ("the firm",))],
        history=[Message("user", "What is the limit?"), Message("assistant", "40 euros")],
    )
    assert [message.role for message in shown] == ["user", "assistant", "user", "assistant", "user"]
    assert shown[1].content == "the firm"
    assert shown[-1].content.endswith("Question: And for dinner?")
    assert "[1] Travel > Meals\nThe limit is 40 euros." in shown[-1].content


def test_few_shot_examples_are_the_nearest_readable_ones_the_nearest_last() -> None:
    examples = [
        Example("a", "What does the ladder weigh?", ("9 kg",), principals=("staff",)),
        Example("b", "What does the secret ladder weigh?", ("99 kg",), principals=("board",)),
        Example("c", "Where is the kettle kept?", ("attic",), principals=("staff",)),
        Example("d", "Unanswerable ladder?", (), principals=("staff",)),
    ]
    near = Neighbours(
        examples, embedder=FakeEmbedder("hash"), readable=lambda example, principals: set(example.principals) <= principals
    )
    assert [one.id for one in near.nearest("What does my ladder weigh?", principals=STAFF.principals, k=4)] == ["c", "a"]
    assert [one.id for one in near.nearest("What does my ladder weigh?", principals=STAFF.principals, k=1, exclude="a")] == [
        "c"
    ]
    candidate = Candidate("few_shot", "test:says", examples=NearestExamples(k=1))
    model = Says("9 kg")
    Assistant(candidate, model=model, neighbours=near).ask("What does my ladder weigh?", caller=STAFF)
    assert [message.content for message in model.shown[0][:2]] == ["Question: What does the ladder weigh?", "9 kg"]


def test_packing_keeps_the_best_and_stops_at_the_budget() -> None:
    hits = [replace(HIT, chunk=replace(HIT.chunk, id=str(n), text="word " * 10)) for n in range(5)]
    assert len(pack(hits, count_tokens=lambda text: len(text.split()), max_tokens=30)) == 2
    assert pack(hits, count_tokens=lambda text: 1000, max_tokens=30) == hits[:1]
    assert pack([], count_tokens=len, max_tokens=30) == []


def test_a_follow_up_is_searched_with_the_questions_before_it() -> None:
    history = (Message("user", "What is the limit?"), Message("assistant", "40 euros"))
    shelf = Shelf([HIT])
    Assistant(RAG, model=Says("40 euros"), retriever=shelf).ask("And for dinner?", caller=STAFF, history=history)
    Assistant(RAG, model=Says("40 euros"), retriever=shelf, rewrite=as_asked).ask(
        "And for dinner?", caller=STAFF, history=history
    )
    assert shelf.asked == [Query("And for dinner?", ("What is the limit?",)), Query("And for dinner?")]


def test_a_heading_says_nothing_twice() -> None:
    assert heading(HIT) == "Travel > Meals"


def test_a_candidate_with_context_needs_documents() -> None:
    with pytest.raises(UsageError, match="documents"):
        Assistant(RAG, model=Says("x"))
