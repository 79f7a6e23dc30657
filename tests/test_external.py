"""What already runs, as a candidate: a real HTTP server on this machine, real programs, Python functions; hostile ones too."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from groundtune.answer.external import LONGEST_ANSWER, MOST_CITATIONS, ExternalAssistant
from groundtune.answer.transports import LARGEST_REPLY, CallableTransport, CommandTransport, Failed, HttpTransport
from groundtune.errors import ModelFailure, NotFound, UsageError
from groundtune.types import (
    NOT_IN_DOCUMENTS,
    Answer,
    Audience,
    Caller,
    Candidate,
    Document,
    Example,
    External,
    Hit,
    Message,
    Usage,
)

Write = Callable[[BaseHTTPRequestHandler], None]
ASK = {"question": "How long?", "history": [], "principals": ["staff"]}


class Server:
    """Answers by `write(handler)`, or with `answer(request)` as JSON; keeps what it was sent."""

    def __init__(self) -> None:
        self.answer: Callable[[dict[str, Any]], Any] = lambda request: {"answer": request["question"].upper()}
        self.write: Write | None = None
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.busy = self.busiest = self.connections = 0
        self.gate = threading.Event()
        self.lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                with server.lock:
                    server.connections += 1

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with server.lock:
                    server.requests.append(request)
                    server.headers.append({name.lower(): value for name, value in self.headers.items()})
                    server.busy += 1
                    server.busiest = max(server.busiest, server.busy)
                if server.write is not None:
                    server.write(self)
                else:
                    data = json.dumps(server.answer(request)).encode()
                    with server.lock:
                        server.busy -= 1
                    send(self, data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that hang up are the point here
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/ask?v=1"


def send(handler: BaseHTTPRequestHandler, data: bytes, *, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"content-length": str(len(data)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(data)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.gate.set()
    made.http.shutdown()
    thread.join()
    made.http.server_close()


def over_http(server: Server, **settings: Any) -> HttpTransport:
    return HttpTransport("bot", External("http", (server.url,), **settings), backoff=0.0)


class Shelf:
    """Two documents; staff may read one."""

    fingerprint = "shelf"
    texts: Mapping[str, str] = {"a.md": "The warranty\nlasts  24 months. It is free.", "board.md": "The plan is secret."}

    def search(self, question: str, *, caller: Caller, k: int) -> list[Hit]:
        raise AssertionError("nothing is searched")

    def document(self, document: str, *, caller: Caller) -> Document:
        if document not in self.texts or (document == "board.md" and "board" not in caller.principals):
            raise NotFound("there is no such document among those that you may read.", subject=document)
        return Document(document, "A title", self.texts[document], "")

    def audience(self, document: str) -> Audience:
        return Audience.of("staff")


def says(reply: Any) -> ExternalAssistant:
    """An assistant whose system always replies this."""
    external = External("callable", ("tests:reply",))
    return ExternalAssistant(Candidate("bot", "external:bot", external=external), transport=lambda _: reply, retriever=Shelf())


def asked(reply: Any, *principals: str) -> Answer:
    return says(reply)([Example("1", "How long?", (), principals=principals or ("staff",))])[0]


# --- what is sent and read ----------------------------------------------------------------------------------------------


def test_what_is_sent_and_read(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOT_TOKEN", "Bearer sesame")
    server.answer = lambda _: {"answer": " 24 months ", "usage": {"input_tokens": 7, "output_tokens": 2}, "more": "is ignored"}
    external = External("http", (server.url,), headers=(("Authorization", "BOT_TOKEN"),))
    candidate = Candidate("bot", "external:bot", external=external)
    assistant = ExternalAssistant(candidate, transport=HttpTransport("bot", external), retriever=Shelf())
    history = [Message("user", "Hello"), Message("assistant", "Hi")]
    answer = assistant.ask("How long?", caller=Caller.of("staff", "berlin"), history=history)
    assert (answer.text, answer.usage, answer.abstained) == ("24 months", Usage(7, 2), False)
    assert answer.seconds > 0
    turns = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
    assert server.requests == [{"question": "How long?", "history": turns, "principals": ["berlin", "staff"]}]
    assert server.headers[0]["authorization"] == "Bearer sesame"


def test_many_keep_their_order_in_a_bounded_pool_and_connections_are_kept(server: Server) -> None:
    external = External("http", (server.url,), concurrency=3)
    transport = HttpTransport("bot", external)
    assistant = ExternalAssistant(Candidate("bot", "external:bot", external=external), transport=transport)
    answers = assistant([Example(str(n), f"q{n}", ()) for n in range(30)])
    assert [answer.text for answer in answers] == [f"Q{n}" for n in range(30)]
    assert server.busiest <= 3
    assert server.connections <= 3


def test_a_connection_that_was_closed_while_idle_is_opened_again(server: Server) -> None:
    transport = over_http(server, attempts=1)

    def once(handler: BaseHTTPRequestHandler) -> None:
        send(handler, b'{"answer": "yes"}')
        handler.close_connection = True  # without saying so

    server.write = once
    assert [transport(ASK)["answer"] for _ in range(3)] == ["yes"] * 3
    assert server.connections == 3


@pytest.mark.parametrize(
    "reply", [None, "", {"answer": None}, {"answer": "x", "abstained": True}, "It is not in the documents"]
)
def test_nothing_and_words_that_say_so_abstain(reply: Any) -> None:
    answer = asked(reply)
    assert (answer.text, answer.abstained) == (NOT_IN_DOCUMENTS, True)


# --- citations ----------------------------------------------------------------------------------------------------------


def test_a_citation_holds_where_its_words_stand_and_points_at_them() -> None:
    answer = asked({"answer": "24", "citations": [{"document": "a.md", "quote": "warranty lasts 24 months."}]})
    (citation,) = answer.citations
    text = Shelf.texts["a.md"]
    assert text[citation.start : citation.end] == citation.quote == "warranty\nlasts  24 months."
    assert (citation.number, citation.document, citation.title) == (1, "a.md", "A title")


@pytest.mark.parametrize(
    "citation",
    [
        {"document": "a.md", "quote": "lasts 36 months"},
        {"document": "a.md", "quote": "arranty lasts"},
        {"document": "a.md", "quote": "..."},
        {"document": "a.md", "quote": ""},
        {"document": "a.md", "quote": "warranty " * 1000},
        {"document": "a.md", "quote": None},
        {"document": "nowhere.md", "quote": "warranty"},
        {"document": "\ud800", "quote": "warranty"},
        {"document": "board.md", "quote": "The plan is secret."},
        {"quote": "warranty"},
        "a.md",
        None,
    ],
)
def test_a_false_citation_is_dropped_and_the_answer_stays(citation: Any) -> None:
    answer = asked({"answer": "24", "citations": [citation]})
    assert (answer.text, answer.citations) == ("24", ())


def test_what_the_caller_may_read_decides_at_each_request() -> None:
    reply = {"answer": "x", "citations": [{"document": "board.md", "quote": "plan is secret"}]}
    assert asked(reply, "staff").citations == ()
    assert len(asked(reply, "staff", "board").citations) == 1


def test_citations_are_counted_once_and_not_without_end() -> None:
    one = {"document": "a.md", "quote": "24 months"}
    assert len(asked({"answer": "x", "citations": [one] * 50}).citations) == 1
    false = [{"document": "a.md", "quote": "no"}] * MOST_CITATIONS
    assert asked({"answer": "x", "citations": [*false, one]}).citations == ()
    assert asked({"answer": "x", "citations": "a.md"}).citations == ()


# --- hostile replies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        {},
        [],
        7,
        {"answer": 7},
        {"answer": ["x"]},
        {"answer": "x", "abstained": "yes"},
        {"answer": "x", "usage": 3},
        {"answer": "x", "usage": {"input_tokens": -1}},
        {"answer": "x", "usage": {"input_tokens": True}},
        {"answer": "x", "usage": {"output_tokens": 10**12}},
        {"answer": "x" * (LONGEST_ANSWER + 1)},
    ],
)
def test_a_reply_that_is_not_as_agreed_is_a_wrong_answer_and_no_abstention(reply: Any) -> None:
    answer = asked(reply)
    assert (answer.text, answer.abstained) == ("", False)
    assert answer.reason in ("no usable reply", "too large a reply")


def test_half_a_surrogate_pair_can_be_stored() -> None:
    assert asked({"answer": "a\ud800b"}).text.encode("utf-8") == b"a?b"


@pytest.mark.parametrize(
    "data",
    [b"<html>", b"", b'{"answer": "x"', b"\xff\xfe", b"[" * 100_000, b'{"answer": ' + b"9" * 5000 + b"}"],
    ids=["html", "empty", "cut", "no UTF-8", "deep", "long number"],
)
def test_what_is_not_json_is_said_to_be_no_reply(server: Server, data: bytes) -> None:
    server.write = lambda handler: send(handler, data)
    with pytest.raises(Failed, match="no usable reply"):
        over_http(server)(ASK)
    assert len(server.requests) == 1


def test_a_huge_reply_is_not_read_to_its_end(server: Server) -> None:
    sent = []

    def pour(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", str(1 << 40))
        handler.end_headers()
        with suppress(OSError):  # the client hangs up
            while not server.gate.is_set():
                handler.wfile.write(b"x" * 65536)
                sent.append(65536)

    server.write = pour
    with pytest.raises(Failed, match="too large"):
        over_http(server, attempts=1)(ASK)
    assert sum(sent) < 64 * LARGEST_REPLY


def test_a_reply_that_ends_early_broke_off(server: Server) -> None:
    def cut(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", "100")
        handler.end_headers()
        handler.wfile.write(b'{"answer": "x"}')
        handler.close_connection = True

    server.write = cut
    with pytest.raises(Failed, match="broke off"):
        over_http(server, attempts=2)(ASK)
    assert len(server.requests) == 2


def drip(handler: BaseHTTPRequestHandler, gate: threading.Event, *, head: bytes) -> None:
    """A byte now and then, for ever: each one comes in time, all of them never."""
    handler.wfile.write(head)
    while not gate.wait(0.02):
        handler.wfile.write(b"x")


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nx-", b"HTTP/1.1 200 OK\r\n\r\n", b""], ids=["head", "body", "silence"])
def test_a_slow_reply_ends_at_the_limit_of_the_whole_exchange(server: Server, head: bytes) -> None:
    server.write = lambda handler: drip(handler, server.gate, head=head) if head else server.gate.wait(30)
    started = time.monotonic()
    with pytest.raises(Failed, match="timed out"):
        over_http(server, timeout=0.3, attempts=1)(ASK)
    assert time.monotonic() - started < 15


def test_passing_trouble_is_tried_again_and_other_trouble_is_not(server: Server) -> None:
    transport = over_http(server, attempts=3)

    def failing(times: int, status: int, **headers: str) -> Write:
        left = [times]

        def write(handler: BaseHTTPRequestHandler) -> None:
            left[0] -= 1
            send(handler, b'{"answer": "ok"}', status=status if left[0] >= 0 else 200, **headers)

        return write

    server.write = failing(2, 503, retry_after="0")
    assert transport(ASK) == {"answer": "ok"}
    server.write = failing(3, 500)
    with pytest.raises(Failed, match="status 500"):
        transport(ASK)
    before = len(server.requests)
    server.write = failing(1, 422)
    with pytest.raises(Failed, match="status 422"):
        transport(ASK)
    server.write = failing(1, 429, retry_after="3600")
    with pytest.raises(Failed, match="status 429"):
        transport(ASK)
    assert len(server.requests) == before + 2


@pytest.mark.parametrize("status", [302, 401, 404])
def test_a_wrong_address_or_key_is_an_error_and_not_an_answer(server: Server, status: int) -> None:
    server.write = lambda handler: send(handler, b"", status=status, location="http://127.0.0.1:9/")
    with pytest.raises(ModelFailure, match=f"refuses with status {status}") as raised:
        over_http(server)(ASK)
    assert "v=1" not in str(raised.value)
    assert len(server.requests) == 1


def test_a_compressed_reply_was_not_asked_for(server: Server) -> None:
    server.write = lambda handler: send(handler, b"x", content_encoding="gzip")
    with pytest.raises(Failed, match="no usable reply"):
        over_http(server)(ASK)


def test_nobody_there_is_an_error_that_names_the_address() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refuses
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/ask"
        with pytest.raises(ModelFailure, match=r"bot at http://127.0.0.1:.*does not answer"):
            HttpTransport("bot", External("http", (url,)), backoff=0.0)(ASK)


def test_a_header_without_its_variable_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BOT_TOKEN", raising=False)
    with pytest.raises(UsageError, match="BOT_TOKEN is not set"):
        over_http(server, headers=(("Authorization", "BOT_TOKEN"),))
    monkeypatch.setenv("BOT_TOKEN", "a\r\nX-Evil: 1")
    with pytest.raises(UsageError, match="cannot be a header"):
        over_http(server, headers=(("Authorization", "BOT_TOKEN"),))


# --- commands -----------------------------------------------------------------------------------------------------------


def program(code: str, *arguments: str, **settings: Any) -> CommandTransport:
    return CommandTransport("bot", External("command", (sys.executable, "-c", code, *arguments), **settings))


def test_a_command_reads_json_and_says_json_or_text() -> None:
    reply = program("import json, sys; print(json.dumps({'answer': json.load(sys.stdin)['question']}))")(ASK)
    assert reply == {"answer": "How long?"}
    assert program("print('24 months')")(ASK) == "24 months"
    assert program("print('{\"order\": [1, 2]}')")(ASK) == '{"order": [1, 2]}'


def test_no_shell_reads_the_arguments(tmp_path: Path) -> None:
    hostile = f"$(touch {tmp_path / 'x'}); touch {tmp_path / 'x'} | `id`"
    assert program("import sys; print(sys.argv[1])", hostile)(ASK) == hostile
    assert list(tmp_path.iterdir()) == []


def test_a_command_runs_in_the_folder_it_is_given(tmp_path: Path) -> None:
    external = External("command", (sys.executable, "-c", "import os; print(os.getcwd())"))
    assert Path(CommandTransport("bot", external, folder=tmp_path)(ASK)).resolve() == tmp_path.resolve()


def test_a_command_that_does_not_end_is_ended_with_its_children(tmp_path: Path) -> None:
    note = tmp_path / "child"
    code = (
        "import subprocess, sys, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "pathlib.Path(sys.argv[1]).write_text(str(child.pid))\n"
        "child.wait()\n"
    )
    with pytest.raises(Failed, match="timed out"):
        program(code, str(note), timeout=3.0)(ASK)
    if note.exists():
        child = int(note.read_text())
        deadline = time.monotonic() + 10
        while _lives(child) and time.monotonic() < deadline:
            threading.Event().wait(0.05)
        assert not _lives(child)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_command_that_talks_without_end_is_ended(stream: str) -> None:
    with pytest.raises(Failed, match="too large"):
        program(f"import sys\nwhile True: sys.{stream}.write('x' * 65536)")(ASK)


def test_a_failing_command_gives_its_code_and_keeps_its_complaint_out_of_the_kind() -> None:
    with pytest.raises(Failed, match=r"^exit code 3$") as raised:
        program("import sys; sys.stderr.write('secret text'); sys.exit(3)")(ASK)
    assert raised.value.detail == "secret text"


def test_a_large_request_to_a_command_that_does_not_read_does_not_block() -> None:
    assert program("print('ok')")({**ASK, "question": "x" * 1_000_000}) == "ok"


def test_a_command_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ModelFailure, match=r"bot: no-such-program.*cannot be run"):
        CommandTransport("bot", External("command", ("no-such-program",)))(ASK)


# --- callables ----------------------------------------------------------------------------------------------------------


def test_a_function_gets_what_its_parameters_ask_for() -> None:
    assert CallableTransport("f", lambda question: question)(ASK) == "How long?"
    assert CallableTransport("f", lambda question, principals: principals)(ASK) == ["staff"]
    assert sorted(CallableTransport("f", lambda question, **rest: rest)(ASK)) == ["history", "principals"]


def test_a_function_that_raises_is_a_wrong_answer() -> None:
    def bad(question: str) -> str:
        raise KeyError(question)

    with pytest.raises(Failed, match=r"^raised KeyError$"):
        CallableTransport("f", bad)(ASK)


def test_an_interrupt_passes_through() -> None:
    def interrupted(question: str) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CallableTransport("f", interrupted)(ASK)


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(UsageError, match="no function"):
        CallableTransport("f", 3)  # type: ignore[arg-type]


def test_a_batch_keeps_what_worked() -> None:
    def moody(request: Mapping[str, Any]) -> str:
        if request["question"] == "bad":
            raise Failed("timed out")
        return str(request["question"])

    candidate = Candidate("bot", "external:bot", external=External("callable", ("tests:moody",)))
    examples: Sequence[Example] = [Example(str(n), text, ()) for n, text in enumerate(["a", "bad", "b"])]
    answers = ExternalAssistant(candidate, transport=moody)(examples)
    assert [(answer.text, answer.reason) for answer in answers] == [("a", ""), ("", "timed out"), ("b", "")]
