"""ask_stream, explain_search: an answer while it is written, and why a search found or missed what it did."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from groundtune.answer.assistant import Assistant
from groundtune.answer.explain import Explanation, explain
from groundtune.answer.follow_up import rewriting
from groundtune.candidates.open import remember_answer
from groundtune.dataset.check import locate
from groundtune.dataset.read import read_questions
from groundtune.errors import NotFound, UsageError
from groundtune.models import load_model
from groundtune.store.workspace import Workspace
from groundtune.types import EVERYTHING, Answer, Evidence, Example, Filter, Message
from groundtune.verbs.knowledge import caller_of, open_assistant, open_retriever, weights_of


class AnswerStream:
    """An answer while it is written: iterate over the pieces of its text, then read `answer`."""

    def __init__(self, pieces: Generator[str, None, Answer]) -> None:
        self._pieces = pieces
        self._answer: Answer | None = None

    def __iter__(self) -> Iterator[str]:
        self._answer = yield from self._pieces

    @property
    def answer(self) -> Answer:
        """What counts: with its citations, and abstaining where the pieces should not have been believed.

        Raises UsageError before the last piece was read.
        """
        if self._answer is None:
            raise UsageError("the answer is not finished.", remedy="Read all its pieces first.")
        return self._answer

    def close(self) -> None:
        """Stop the model."""
        self._pieces.close()


def ask_stream(
    question: str,
    *,
    root: Path | str = ".",
    principals: Sequence[str] = (),
    candidate: str | None = None,
    history: Sequence[Message] = (),
) -> AnswerStream:
    """As `ask`, in pieces while the model writes; a model that cannot stream gives one. It begins when the first is read."""
    return AnswerStream(_pieces(Path(root), question, tuple(principals), candidate, tuple(history)))


def _pieces(
    root: Path, question: str, principals: Sequence[str], candidate: str | None, history: Sequence[Message]
) -> Generator[str, None, Answer]:
    with Workspace.open(root) as workspace:
        assistant = open_assistant(workspace, candidate=candidate)
        caller = caller_of(workspace, principals)
        if isinstance(assistant, Assistant):
            answer = yield from assistant.stream(question, caller=caller, history=history)
        else:
            answer = assistant.ask(question, caller=caller, history=history)
            if not answer.abstained:
                yield answer.text
        return remember_answer(workspace, answer, weights=weights_of(assistant))


def explain_search(
    query: str | None = None,
    *,
    root: Path | str = ".",
    principals: Sequence[str] = (),
    k: int | None = None,
    filter: Filter = EVERYTHING,
    gold: str | None = None,
    evidence: Sequence[Evidence] = (),
    operator: bool = False,
) -> Explanation:
    """What each stage of a search did, and where the evidence fell out; `k` is `retrieval.k` unless another is given.

    `gold` is the id of a question of the workspace: its evidence is looked for, its principals ask unless others are named, and
    its words and history are the query unless one is given. `operator` also tells what the caller must not be told: chunks that
    the final check took away, scores that depend on unreadable documents, evidence that they may not read. Raises NotFound for
    an unknown question, UsageError without a query.
    """
    with Workspace.open(root) as workspace:
        retriever = open_retriever(workspace)
        example = _question(workspace, gold) if gold is not None else Example("", query or "", ())
        if query is not None:
            example = replace(example, question=query, history=())
        if not example.question.strip():
            raise UsageError("there is nothing to search for.", remedy="Give a query, or the id of a question.")
        follow_up = workspace.config.retrieval.follow_up if example.history else "off"
        model = load_model(workspace.config.model) if follow_up == "model" else None
        return explain(
            retriever,
            rewriting(follow_up, model=model)(example),
            caller=caller_of(workspace, principals or example.principals or workspace.config.access.questions),
            k=k or workspace.config.retrieval.k,
            filter=filter,
            evidence=(*example.evidence, *evidence),
            locate=locate,
            operator=operator,
        )


def _question(workspace: Workspace, gold: str) -> Example:
    for example in read_questions(workspace.questions).examples:
        if example.id == gold:
            return example
    raise NotFound("there is no question of this id.", subject=gold, remedy=f"Take one from {workspace.questions}.")
