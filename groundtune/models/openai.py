"""Any server with OpenAI's chat completions: vLLM, llama.cpp, Ollama, OpenAI. Knows HTTP; assumes no server."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from groundtune.errors import ModelFailure, NotFound, UsageError
from groundtune.interfaces import Pieces
from groundtune.types import Generation, Message, Usage

CONCURRENT = 8
"""Requests on their way at once."""

ATTEMPTS = 5
"""Tries of one request; waits of 0.5, 1, 2 and 4 seconds lie between, or what the server's Retry-After says."""

LONGEST_WAIT = 30.0
"""Seconds; a server that asks for a longer wait is given up."""

PASSING = frozenset({408, 409, 429, 500, 502, 503, 504})
"""HTTP states that may pass by themselves."""


class OpenAIModel:
    """A model behind `$OPENAI_BASE_URL` (which ends in `/v1` as a rule); `$OPENAI_API_KEY` is sent where it is set."""

    local = False
    window: int | None = None

    def __init__(self, name: str, *, adapter: Path | None = None, backoff: float = 0.5, timeout: float = 120.0) -> None:
        """`backoff` and `timeout` in seconds. Raises UsageError without a server, and for an adapter."""
        self.name = f"openai:{name}"
        self._model = name
        self._url = os.environ.get("OPENAI_BASE_URL", "").rstrip("/")
        if not self._url:
            raise UsageError(
                "no server is named, and none is assumed.",
                subject=self.name,
                remedy="Set OPENAI_BASE_URL, for example to http://localhost:8000/v1 (and OPENAI_API_KEY if it wants one).",
            )
        if adapter is not None:
            raise UsageError("weights on a server cannot take an adapter.", subject=self.name, remedy="Tune a local model.")
        key = os.environ.get("OPENAI_API_KEY", "")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(headers=headers, timeout=timeout, limits=httpx.Limits(max_connections=CONCURRENT))
        self._backoff = backoff
        self._limit_key = "max_tokens"
        self.fingerprint = hashlib.sha256(f"{self._url}\n{name}\ntemperature 0".encode()).hexdigest()

    def generate(self, conversations: Sequence[Sequence[Message]], *, max_new_tokens: int) -> list[Generation]:
        if len(conversations) < 2:
            return [self._one(conversation, max_new_tokens) for conversation in conversations]
        pool = ThreadPoolExecutor(min(CONCURRENT, len(conversations)))
        wait = True
        try:
            return list(pool.map(lambda conversation: self._one(conversation, max_new_tokens), conversations))
        except KeyboardInterrupt:
            wait = False  # for what may hang until its time limit
            raise
        finally:
            pool.shutdown(wait=wait, cancel_futures=True)

    def stream(self, conversation: Sequence[Message], *, max_new_tokens: int) -> Pieces:
        """Pieces as the server sends them. It is asked once: what was shown cannot be taken back by another attempt."""
        body = {**self._body(conversation, max_new_tokens), "stream": True, "stream_options": {"include_usage": True}}
        text, cut, usage = "", False, Usage()
        try:
            with self._client.stream("POST", f"{self._url}/chat/completions", json=body) as reply:
                if not reply.is_success:
                    reply.read()
                for line in self._checked(reply).iter_lines():
                    data = line.removeprefix("data:").strip()
                    if not line.startswith("data:") or data == "[DONE]":
                        continue
                    piece, cut, usage = self._event(data, cut, usage)
                    if piece:
                        text += piece
                        yield piece
        except httpx.TransportError as error:
            raise ModelFailure(
                f"the server stopped answering ({type(error).__name__}: {error}).", subject=f"{self.name} at {self._url}"
            ) from error
        return Generation(text.strip(), usage, "length" if cut else "stop")

    def count_tokens(self, text: str) -> int:
        """An estimate for packing prompts, four characters a token; what is billed comes from the server's own count."""
        return math.ceil(len(text) / 4)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def _one(self, conversation: Sequence[Message], max_new_tokens: int) -> Generation:
        reply = self._post(self._body(conversation, max_new_tokens))
        if reply.status_code == 400 and self._limit_key == "max_tokens" and "max_completion_tokens" in reply.text:
            self._limit_key = "max_completion_tokens"  # OpenAI's newer models refuse the older name
            return self._one(conversation, max_new_tokens)
        return self._read(self._checked(reply))

    def _body(self, conversation: Sequence[Message], max_new_tokens: int) -> dict[str, Any]:
        if max_new_tokens < 1:
            raise UsageError(f"max_new_tokens is {max_new_tokens}; an answer needs at least one token.", subject=self.name)
        rows = [{"role": message.role, "content": message.content} for message in conversation]
        return {"model": self._model, "messages": rows, "temperature": 0, self._limit_key: max_new_tokens}

    def _event(self, data: str, cut: bool, usage: Usage) -> tuple[str, bool, Usage]:
        """(piece of text, whether the answer was cut off, usage) after one event of a stream."""
        try:
            event = json.loads(data)
            counts = event.get("usage")
            if counts:
                usage = Usage(int(counts.get("prompt_tokens", 0)), int(counts.get("completion_tokens", 0)))
            for choice in event.get("choices") or ():
                cut = cut or choice.get("finish_reason") == "length"
                return (choice.get("delta") or {}).get("content") or "", cut, usage
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            where = f"{self.name} at {self._url}"
            raise ModelFailure(f"the stream holds no chat completion: {data[:200]!r}", subject=where) from error
        return "", cut, usage

    def _post(self, body: Mapping[str, Any]) -> httpx.Response:
        """The reply, once it is no passing trouble or the attempts are used up."""
        for attempt in range(1, ATTEMPTS + 1):
            wait = self._backoff * 2 ** (attempt - 1)
            try:
                reply = self._client.post(f"{self._url}/chat/completions", json=body)
            except httpx.TransportError as error:
                if attempt == ATTEMPTS:
                    raise ModelFailure(
                        f"the server does not answer ({type(error).__name__}: {error}).",
                        subject=f"{self.name} at {self._url}",
                        remedy="Start it, or correct OPENAI_BASE_URL.",
                    ) from error
            else:
                if reply.status_code not in PASSING or attempt == ATTEMPTS:
                    return reply
                wait = _seconds(reply.headers.get("retry-after"), otherwise=wait)
                if wait > LONGEST_WAIT:
                    return reply
            time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _checked(self, reply: httpx.Response) -> httpx.Response:
        where = f"{self.name} at {self._url}"
        if reply.is_success:
            return reply
        said = _message(reply)
        if reply.status_code in (401, 403):
            raise ModelFailure(f"the server refuses the key: {said}", subject=where, remedy="Set OPENAI_API_KEY.")
        if reply.status_code == 404:
            raise NotFound(f"the server has no such model or address: {said}", subject=where, remedy="Check both names.")
        again = f" after {ATTEMPTS} attempts" if reply.status_code in PASSING else ""
        raise ModelFailure(f"the server says {reply.status_code}{again}: {said}", subject=where)

    def _read(self, reply: httpx.Response) -> Generation:
        try:
            body = reply.json()
            choice = body["choices"][0]
            text = choice["message"].get("content") or ""
            usage = body.get("usage") or {}
            cut = choice.get("finish_reason") == "length"
            counts = Usage(int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0)))
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise ModelFailure(
                f"the reply is no chat completion: {reply.text[:200]!r}", subject=f"{self.name} at {self._url}"
            ) from error
        return Generation(text.strip(), counts, "length" if cut else "stop")


def _seconds(header: str | None, *, otherwise: float) -> float:
    """Retry-After in seconds; its other form, a date, is ignored."""
    try:
        return float(header) if header is not None else otherwise
    except ValueError:
        return otherwise


def _message(reply: httpx.Response) -> str:
    """What the server says is wrong, on one line."""
    try:
        error = reply.json()["error"]
        said = error["message"] if isinstance(error, dict) else str(error)
    except (ValueError, KeyError, TypeError):
        said = reply.text
    return " ".join(str(said).split())[:300] or reply.reason_phrase
