"""The client for OpenAI-compatible servers, against a real HTTP server on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from groundtune.errors import ModelFailure, NotFound, UsageError
from groundtune.models.openai import ATTEMPTS, CONCURRENT, OpenAIModel
from groundtune.testing import check_language_model
from groundtune.types import Generation, Message, Usage

ASK = [[Message("system", "Be brief."), Message("user", "Hello?")]]


Reply = Callable[[dict[str, Any], int], tuple[int, dict[str, str], Any]]


class Server:
    """Answers by `reply(body, request number)` -> (status, headers, body); keeps what it was sent."""

    def __init__(self) -> None:
        self.reply: Reply = lambda body, _: (200, {}, streamed(body) if body.get("stream") else completion(body))
        self.seen: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.busy = self.busiest = 0
        self.lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with server.lock:
                    server.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
                    number = len(server.seen)
                    server.busy += 1
                    server.busiest = max(server.busiest, server.busy)
                status, headers, answer = server.reply(body, number)
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                with server.lock:
                    server.busy -= 1
                self.send_response(status)
                for name, value in {"content-length": str(len(data)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"


def completion(body: dict[str, Any], *, finish: str = "stop") -> dict[str, Any]:
    text = body["messages"][-1]["content"].upper()
    limit = body.get("max_tokens") or body.get("max_completion_tokens")
    words = text.split()[:limit]
    choice = {"message": {"role": "assistant", "content": " ".join(words)}, "finish_reason": finish}
    return {"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": len(words)}}


def streamed(body: dict[str, Any]) -> bytes:
    """The same as server-sent events, three letters at a time, with a comment and the usage at the end."""
    whole = completion(body)
    text, limit = whole["choices"][0]["message"]["content"], whole["choices"][0]["finish_reason"]
    deltas = [{"choices": [{"delta": {"content": text[at : at + 3]}}]} for at in range(0, len(text), 3)]
    last = [{"choices": [{"delta": {}, "finish_reason": limit}]}, {"choices": [], "usage": whole["usage"]}]
    events = [f"data: {json.dumps(event)}" for event in (*deltas, *last)]
    return "\n\n".join([": a comment", *events, "data: [DONE]", ""]).encode()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("OPENAI_BASE_URL", made.url)
    monkeypatch.setenv("OPENAI_API_KEY", "sesame")
    yield made
    made.http.shutdown()
    thread.join()
    made.http.server_close()


@pytest.fixture
def model(server: Server) -> Iterator[OpenAIModel]:
    made = OpenAIModel("small", backoff=0.0)
    yield made
    made.close()


def test_conformance(model: OpenAIModel) -> None:
    check_language_model(model)
    assert not model.local


def test_what_is_sent_and_read(server: Server, model: OpenAIModel) -> None:
    server.reply = lambda body, _: (200, {}, completion(body, finish="length"))
    assert model.generate(ASK, max_new_tokens=9) == [Generation("HELLO?", Usage(7, 1), "length")]
    path, headers, body = server.seen[0]
    assert path == "/v1/chat/completions" and headers["authorization"] == "Bearer sesame"
    assert body == {
        "model": "small",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}],
        "temperature": 0,
        "max_tokens": 9,
    }


def test_many_keep_their_order_in_a_bounded_pool(server: Server, model: OpenAIModel) -> None:
    answers = model.generate([[Message("user", f"q{number}")] for number in range(40)], max_new_tokens=9)
    assert [answer.text for answer in answers] == [f"Q{number}" for number in range(40)]
    assert server.busiest <= CONCURRENT


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_trouble_is_tried_again(server: Server, model: OpenAIModel, status: int) -> None:
    headers = {"retry-after": "0"}
    server.reply = lambda body, number: (200, {}, completion(body)) if number > 2 else (status, headers, {"error": "busy"})
    assert model.generate(ASK, max_new_tokens=9)[0].text == "HELLO?"
    assert len(server.seen) == 3


def test_lasting_trouble_is_told(server: Server, model: OpenAIModel) -> None:
    server.reply = lambda *_: (503, {}, {"error": {"message": "no workers"}})
    with pytest.raises(ModelFailure, match=f"says 503 after {ATTEMPTS} attempts: no workers"):
        model.generate(ASK, max_new_tokens=9)
    assert len(server.seen) == ATTEMPTS


def test_a_server_that_asks_for_a_long_wait_is_given_up(server: Server, model: OpenAIModel) -> None:
    server.reply = lambda *_: (429, {"retry-after": "3600"}, {"error": {"message": "daily quota"}})
    with pytest.raises(ModelFailure, match="daily quota"):
        model.generate(ASK, max_new_tokens=9)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (401, ModelFailure, "Set OPENAI_API_KEY"),
        (404, NotFound, "no such model"),
        (400, ModelFailure, "says 400: context too long"),
    ],
)
def test_refusals_are_not_repeated_and_never_show_the_key(
    server: Server, model: OpenAIModel, status: int, kind: type[Exception], said: str
) -> None:
    server.reply = lambda *_: (status, {}, {"error": {"message": "context too long"}})
    with pytest.raises(kind, match=said) as caught:
        model.generate(ASK, max_new_tokens=9)
    assert len(server.seen) == 1 and "sesame" not in str(caught.value)


def test_newer_servers_name_the_limit_differently(server: Server, model: OpenAIModel) -> None:
    refusal = {"error": {"message": "Use 'max_completion_tokens' instead."}}
    server.reply = lambda body, _: (400, {}, refusal) if "max_tokens" in body else (200, {}, completion(body))
    assert [model.generate(ASK, max_new_tokens=9)[0].text for _ in range(2)] == ["HELLO?"] * 2
    assert ["max_tokens" in body for _, _, body in server.seen] == [True, False, False]


@pytest.mark.parametrize("answer", [b"<html>", {}, {"choices": []}, {"choices": [{"message": None}]}, []])
def test_replies_that_are_no_completion_are_shown(server: Server, model: OpenAIModel, answer: Any) -> None:
    server.reply = lambda *_: (200, {}, answer)
    with pytest.raises(ModelFailure, match="no chat completion"):
        model.generate(ASK, max_new_tokens=9)


def test_no_server_no_guess(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot take an adapter"):
        OpenAIModel("small", adapter=tmp_path)
    monkeypatch.delenv("OPENAI_BASE_URL")
    with pytest.raises(UsageError, match="Set OPENAI_BASE_URL"):
        OpenAIModel("small")


def test_an_absent_server_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    model = OpenAIModel("small", backoff=0.0)
    with pytest.raises(ModelFailure, match=r"openai:small at http://127\.0\.0\.1:9/v1: the server does not answer"):
        model.generate(ASK, max_new_tokens=9)
    model.close()


def test_without_a_key_none_is_sent(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    model = OpenAIModel("small")
    model.generate(ASK, max_new_tokens=9)
    model.close()
    assert "authorization" not in server.seen[0][1]


def read(model: OpenAIModel) -> tuple[list[str], Generation]:
    pieces, shown = model.stream(ASK[0], max_new_tokens=5), []
    while True:
        try:
            shown.append(next(pieces))
        except StopIteration as end:
            return shown, end.value


def test_a_stream_comes_in_pieces_with_its_usage(server: Server, model: OpenAIModel) -> None:
    assert read(model) == (["HEL", "LO?"], Generation("HELLO?", Usage(7, 1)))
    assert server.seen[0][2]["stream_options"] == {"include_usage": True}


def test_trouble_in_a_stream_is_told_and_nothing_is_asked_twice(server: Server, model: OpenAIModel) -> None:
    for reply in (
        (200, {}, b"data: nonsense\n\n"),
        (503, {}, {"error": {"message": "busy"}}),
        (200, {}, b'data: {"choices": 3}\n'),
    ):
        server.seen.clear()
        server.reply = lambda body, _, reply=reply: reply
        with pytest.raises(ModelFailure):
            read(model)
        assert len(server.seen) == 1
    server.reply = lambda body, _: (200, {"content-length": "1000"}, streamed(body))
    with pytest.raises(ModelFailure, match="stopped answering"):
        read(model)
