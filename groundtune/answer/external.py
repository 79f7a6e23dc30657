"""What already runs, in the shape of an assistant. Knows the agreed request and reply; believes no citation.

Request: {"question": str, "history": [{"role": str, "content": str}], "principals": [str]}.
Reply: {"answer": str, "citations": [{"document": str, "quote": str}], "usage": {"input_tokens": int, "output_tokens": int},
"abstained": bool}; only `answer` is required, and null or "" in its place abstains.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from groundtune.answer.assistant import MODEL_ABSTAINED, says_unknown
from groundtune.answer.transports import Failed, Transport
from groundtune.errors import NotFound, UsageError
from groundtune.interfaces import Retriever
from groundtune.types import EVERYONE, NOT_IN_DOCUMENTS, Answer, Caller, Candidate, Citation, Example, Message, Usage

LONGEST_ANSWER = 20_000
"""Characters."""

MOST_CITATIONS = 20
"""Citations of one answer that are looked at."""

LONGEST_QUOTE = 2_000
"""Characters; a longer quote is no quote."""

log = logging.getLogger(__name__)


class ExternalAssistant:
    """Question (+ history, + caller) in; the external system's answer out, with those of its citations that hold.

    A question without a usable reply gets an empty answer, which is wrong and not an abstention, with the reason.
    """

    def __init__(
        self,
        candidate: Candidate,
        *,
        transport: Transport,
        retriever: Retriever | None = None,
        fingerprint: Mapping[str, object] | None = None,
    ) -> None:
        if candidate.external is None:
            raise UsageError("it wraps nothing.", subject=candidate.name)
        self.candidate = candidate
        self.fingerprint: Mapping[str, object] = dict(fingerprint or {})
        """Whatever may change an answer as far as can be seen from here: goes into the key of the answer stage."""
        self._concurrency = candidate.external.concurrency
        self._transport = transport
        self._retriever = retriever

    def ask(self, question: str, *, caller: Caller, history: Sequence[Message] = ()) -> Answer:
        """One answer, timed."""
        started = time.perf_counter()
        example = Example("", question, (), history=tuple(history), principals=tuple(sorted(caller.principals)))
        return replace(self._one(example), seconds=time.perf_counter() - started)

    def __call__(self, examples: Sequence[Example]) -> list[Answer]:
        """Answers in the order of `examples`, each asked with its own principals, at most `concurrency` at once."""
        if len(examples) < 2:
            return [self._one(example) for example in examples]
        pool = ThreadPoolExecutor(min(self._concurrency, len(examples)))
        wait = True
        try:
            return list(pool.map(self._one, examples))
        except KeyboardInterrupt:
            wait = False  # for what may hang until its time limit
            raise
        finally:
            pool.shutdown(wait=wait, cancel_futures=True)

    def _one(self, example: Example) -> Answer:
        request = {
            "question": example.question,
            "history": [{"role": message.role, "content": message.content} for message in example.history],
            "principals": sorted(set(example.principals) - {EVERYONE}),
        }
        try:
            return self._read(self._transport(request), Caller.of(*example.principals))
        except Failed as failure:
            log.info("%s: %s%s", self.candidate.name, failure.kind, f" ({failure.detail})" if failure.detail else "")
            return Answer("", reason=failure.kind)

    def _read(self, reply: Any, caller: Caller) -> Answer:
        if reply is None or isinstance(reply, str):
            reply = {"answer": reply}
        if not isinstance(reply, Mapping) or "answer" not in reply:
            raise Failed("no usable reply", "it is no object with an answer")
        text, abstained = reply["answer"], reply.get("abstained", False)
        if not (text is None or isinstance(text, str)) or not isinstance(abstained, bool):
            raise Failed("no usable reply", "answer is no text, or abstained neither true nor false")
        if text is not None and len(text) > LONGEST_ANSWER:
            raise Failed("too large a reply")
        usage = _usage(reply.get("usage"))
        text = _text(text or "").strip()
        if abstained or not text or says_unknown(text):
            return Answer(NOT_IN_DOCUMENTS, abstained=True, reason=MODEL_ABSTAINED, usage=usage)
        return Answer(text, citations=self._citations(reply.get("citations"), caller), usage=usage)

    def _citations(self, found: Any, caller: Caller) -> tuple[Citation, ...]:
        """Those whose quote stands in a document that the caller may read now; the others are dropped without a word."""
        kept: list[Citation] = []
        for number, one in enumerate(found[:MOST_CITATIONS] if isinstance(found, list | tuple) else (), start=1):
            document, quote = (one.get("document"), one.get("quote")) if isinstance(one, Mapping) else (None, None)
            if isinstance(document, str) and isinstance(quote, str):
                citation = self._checked(number, document, quote, caller)
                if citation is not None and all((citation.document, citation.start) != (c.document, c.start) for c in kept):
                    kept.append(citation)
        return tuple(kept)

    def _checked(self, number: int, name: str, quote: str, caller: Caller) -> Citation | None:
        """The quote must stand there word for word; only white space may differ."""
        words = [re.escape(word) for word in quote.split()] if len(quote) <= LONGEST_QUOTE else []
        if self._retriever is None or not re.search(r"\w", quote) or not words:
            return None
        try:
            document = self._retriever.document(_text(name), caller=caller)
        except NotFound:
            return None
        place = re.search(r"(?<!\w)" + r"\s+".join(words) + r"(?!\w)", document.text)
        if place is None:
            return None
        return Citation(number, document.id, document.title, place.start(), place.end(), place.group())


def _usage(found: Any) -> Usage:
    if found is None:
        return Usage()
    if not isinstance(found, Mapping):
        raise Failed("no usable reply", "usage is no object")
    return Usage(_count(found.get("input_tokens", 0)), _count(found.get("output_tokens", 0)))


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10**9:
        raise Failed("no usable reply", "usage holds no counts of tokens")
    return value


def _text(value: str) -> str:
    """Unicode that can be stored: half a surrogate pair, which JSON can spell, becomes a question mark."""
    return value.encode("utf-8", "replace").decode("utf-8")
