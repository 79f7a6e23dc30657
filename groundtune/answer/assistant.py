"""The assistant: a built candidate. Knows how a question becomes an answer, not how its parts were made or are scored."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from groundtune.access.audience import may_read
from groundtune.answer.citations import cite, split_markers, unmarked
from groundtune.answer.evidence import evidence_of
from groundtune.answer.follow_up import Rewrite, with_earlier
from groundtune.answer.neighbours import Neighbours
from groundtune.answer.prompts import Prompt, conversation_tokens, pack, render_prompt
from groundtune.answer.whole import Shelf, whole_documents
from groundtune.errors import AccessDenied, UsageError
from groundtune.interfaces import LanguageModel, Streaming
from groundtune.types import (
    NOT_IN_DOCUMENTS,
    Answer,
    Audience,
    Caller,
    Candidate,
    Chunk,
    Example,
    Generation,
    Hit,
    Message,
    Query,
    RetrievedContext,
    WholeDocuments,
)

NOTHING_FOUND = "Nothing that you may read was found for this question."
NOTHING_FITS = "No document that you may read fits the model's window."
NO_SHARED_WORD = "The question shares no content word with any document that you may read."
TOO_LITTLE_EVIDENCE = "What was found speaks too little for an answer."
MODEL_ABSTAINED = "The model found no answer in what it was shown."
TAKEN_AWAY = "What the answer was taken from may no longer be read. Ask again."
WEIGHTS_WITHHELD = "These weights were trained on documents that you may not read."

_SPARE_TOKENS = 64
"""Of a model's window, left free beside whole documents: a chat template may add words of its own."""

_ABSTENTION = re.compile(r"\bnot\s+in\s+the\s+(documents?|sources?)\b", re.IGNORECASE)


class DocumentRetriever(Shelf, Protocol):
    """A retriever that also knows whether a question touches the documents at all."""

    def shares_content_word(self, question: str | Query, *, caller: Caller) -> bool: ...


class Assistant:
    """Question (+ history, + caller) in; answer with citations, usage and seconds out.

    `retriever` is needed when the candidate has `context`, `neighbours` when it has `examples`. `audience` returns who may use
    the weights, evaluated at each request; None means untuned weights, which anybody may use.
    """

    def __init__(
        self,
        candidate: Candidate,
        *,
        model: LanguageModel,
        retriever: DocumentRetriever | None = None,
        neighbours: Neighbours | None = None,
        labels: Sequence[str] = (),
        audience: Callable[[], Audience] | None = None,
        rewrite: Rewrite = with_earlier,
        fingerprint: Mapping[str, object] | None = None,
    ) -> None:
        if candidate.context is not None and retriever is None:
            raise UsageError(
                "it retrieves context, but there are no documents.", subject=candidate.name, remedy="Add documents."
            )
        self.candidate = candidate
        self.model = model
        self.labels = tuple(labels)
        self._retriever = retriever
        self._neighbours = neighbours
        self._audience = audience
        self._rewrite = rewrite
        self.fingerprint: Mapping[str, object] = dict(fingerprint or {})
        """Whatever may change an answer, beside the question: goes into the key of the answer stage."""

    def ask(self, question: str, *, caller: Caller, history: Sequence[Message] = ()) -> Answer:
        """One answer, timed. Raises AccessDenied when the caller may not use these weights."""
        started = time.perf_counter()
        answer = self([self._asked(question, caller, history)])[0]
        return replace(answer, seconds=time.perf_counter() - started)

    def stream(self, question: str, *, caller: Caller, history: Sequence[Message] = ()) -> Generator[str, None, Answer]:
        """The answer's text in pieces as the model writes it, and the answer as the generator's value.

        The answer is what counts: it holds the citations, and it may abstain after words were shown. Each piece leaves only
        while the caller may read all that the model was shown. An answer that needs no model has no pieces, and a model that
        cannot stream gives one. Raises AccessDenied as `ask`.
        """
        started = time.perf_counter()
        answer = self._prepare(self._asked(question, caller, history))
        if isinstance(answer, Prompt):
            answer = yield from self._streamed(answer)
        return replace(answer, seconds=time.perf_counter() - started)

    def __call__(self, examples: Sequence[Example]) -> list[Answer]:
        """Answers in the order of `examples`, each asked by its own principals, generated as one batch."""
        return self.complete([self._prepare(example) for example in examples])

    def complete(self, prepared: Sequence[Prompt | Answer]) -> list[Answer]:
        """Generate the prompts as one batch; answers that need no model pass through."""
        conversations = [prompt.messages for prompt in prepared if isinstance(prompt, Prompt)]
        max_new_tokens = self.candidate.max_new_tokens
        generations = iter(self.model.generate(conversations, max_new_tokens=max_new_tokens) if conversations else ())
        return [prompt if isinstance(prompt, Answer) else self._finish(prompt, next(generations)) for prompt in prepared]

    def _asked(self, question: str, caller: Caller, history: Sequence[Message]) -> Example:
        if not self._may_use(caller):
            raise AccessDenied(
                WEIGHTS_WITHHELD,
                subject=self.candidate.name,
                remedy="Ask the untuned candidate, for example --candidate rag.",
            )
        return Example("", question, (), history=tuple(history), principals=tuple(sorted(caller.principals)))

    def _streamed(self, prompt: Prompt) -> Generator[str, None, Answer]:
        limit = self.candidate.max_new_tokens
        if not isinstance(self.model, Streaming):
            answer = self._finish(prompt, self.model.generate([prompt.messages], max_new_tokens=limit)[0])
            if not answer.abstained:
                yield answer.text
            return answer
        pieces = self.model.stream(prompt.messages, max_new_tokens=limit)
        shown = unmarked(pieces) if prompt.hits else pieces
        try:
            while True:
                piece = next(shown)
                if not self._may_leave(prompt):
                    return abstain(TAKEN_AWAY)
                yield piece
        except StopIteration as end:
            return self._finish(prompt, end.value)
        finally:
            pieces.close()

    def hits(self, example: Example) -> tuple[Hit, ...] | None:
        """What the model would be shown for `example`, best first; None where it would abstain without being asked."""
        prepared = self._prepare(example)
        return prepared.hits if isinstance(prepared, Prompt) else None

    def prompt_tokens(self, example: Example) -> int:
        """About how many tokens the model would read for `example`; 0 when it would not be asked."""
        prompt = self._prepare(example)
        if isinstance(prompt, Answer):
            return 0
        return conversation_tokens(prompt.messages, count_tokens=self.model.count_tokens)

    def documents_shown(self, example: Example) -> tuple[int, int]:
        """Documents that the prompt would hold, and documents that the asker may read."""
        prompt = self._prepare(example)
        hits = prompt.hits if isinstance(prompt, Prompt) else ()
        readable = self._retriever.readable_documents(caller=Caller.of(*example.principals)) if self._retriever else []
        return len({hit.chunk.document for hit in hits}), len(readable)

    def _may_use(self, caller: Caller) -> bool:
        return self._audience is None or may_read(self._audience(), caller)

    def _prepare(self, example: Example) -> Prompt | Answer:
        caller = Caller.of(*example.principals)
        if not self._may_use(caller):
            return abstain(WEIGHTS_WITHHELD)
        context = self.candidate.context
        retriever = self._retriever if context is not None else None
        query = self._rewrite(example) if retriever is not None else Query(example.question)
        if retriever is not None and not retriever.shares_content_word(query, caller=caller):
            return abstain(NO_SHARED_WORD)
        shown: list[Example] = []
        if self.candidate.examples is not None and self._neighbours is not None:
            shown = self._neighbours.nearest(
                example.question,
                principals=caller.principals,
                k=self.candidate.examples.k,
                exclude=example.id,
                spread=self.candidate.examples.choice == "spread",
            )
        hits: list[Hit] = []
        if retriever is not None:
            hits = self._hits(retriever, query, example, caller, shown)
            if not hits:
                return abstain(NOTHING_FITS if isinstance(context, WholeDocuments) else NOTHING_FOUND)
            if isinstance(context, RetrievedContext) and context.min_evidence:
                evidence = evidence_of(query, hits)
                if evidence is not None and evidence < context.min_evidence:
                    return abstain(TOO_LITTLE_EVIDENCE)
        messages = render_prompt(
            self.candidate, example.question, hits=hits, examples=shown, history=example.history, labels=self.labels
        )
        return Prompt(messages, tuple(hits), tuple(shown), caller)

    def _may_leave(self, prompt: Prompt) -> bool:
        """Whether the asker may now read all that the model was shown, and use what it learned; a model takes its time."""
        if prompt.caller is None:
            return True
        documents = {hit.chunk.document for hit in prompt.hits}
        return (
            self._may_use(prompt.caller)
            and (self._retriever is None or all(may_read(self._retriever.audience(name), prompt.caller) for name in documents))
            and (self._neighbours is None or self._neighbours.may_show(prompt.examples, prompt.caller.principals))
        )

    def _hits(
        self, retriever: DocumentRetriever, query: Query, example: Example, caller: Caller, shown: Sequence[Example]
    ) -> list[Hit]:
        """What the candidate's context shows for the question, as far as it fits."""
        context = self.candidate.context
        if context is None:
            return []
        if isinstance(context, WholeDocuments):
            return whole_documents(
                query,
                context,
                shelf=retriever,
                caller=caller,
                count_tokens=self.model.count_tokens,
                room=self._room(example, shown),
            )
        found = retriever.search(query, caller=caller, k=context.k)
        return pack(found, count_tokens=self.model.count_tokens, max_tokens=context.max_tokens)

    def _room(self, example: Example, shown: Sequence[Example]) -> int:
        """Tokens that the model's window leaves beside all the rest of the prompt and the answer."""
        window = self.model.window
        if window is None:
            context = self.candidate.context
            return (context.max_tokens or 0) if isinstance(context, WholeDocuments) else 0
        nothing = Hit(Chunk("", "", "", 0, 0), "", 0.0)
        messages = render_prompt(
            self.candidate, example.question, hits=[nothing], examples=shown, history=example.history, labels=self.labels
        )
        rest = conversation_tokens(messages, count_tokens=self.model.count_tokens)
        return window - rest - self.candidate.max_new_tokens - _SPARE_TOKENS

    def _finish(self, prompt: Prompt, generation: Generation) -> Answer:
        if not self._may_leave(prompt):
            return abstain(TAKEN_AWAY)
        context = tuple(hit.chunk.id for hit in prompt.hits)
        text, nominated = split_markers(generation.text) if prompt.hits else (generation.text.strip(), ())
        if says_unknown(text) or not text:
            return Answer(NOT_IN_DOCUMENTS, abstained=True, reason=MODEL_ABSTAINED, usage=generation.usage, context=context)
        citations = cite(text, prompt.hits, nominated=nominated)
        return Answer(text, citations=citations, usage=generation.usage, context=context)


def says_unknown(text: str) -> bool:
    """Whether an answer says that the documents do not tell."""
    return bool(_ABSTENTION.search(text))


def abstain(reason: str) -> Answer:
    """The answer that needs no model."""
    return Answer(NOT_IN_DOCUMENTS, abstained=True, reason=reason)
