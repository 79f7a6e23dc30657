"""Ways to reach what already runs: an HTTP endpoint, a command, a Python callable. Knows bytes and limits; trusts no reply.

A question that gets no usable reply raises `Failed`: it is one wrong answer. An endpoint that cannot be reached at all raises
ModelFailure: it says nothing about the system, so the race stops and goes on when it is repeated.
"""

from __future__ import annotations

import http.client
import inspect
import json
import logging
import os
import queue
import signal
import socket
import subprocess
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import urlsplit

from groundtune.errors import ModelFailure, UsageError
from groundtune.types import External

LARGEST_REPLY = 1 << 20
"""Bytes that are read of one reply."""

LONGEST_WAIT = 30.0
"""Seconds; an endpoint that asks for a longer wait is given up."""

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP states that may pass by themselves."""

WRONG_ADDRESS = frozenset({301, 302, 303, 307, 308, 401, 403, 404, 405, 410})
"""HTTP states that are not about one question."""

log = logging.getLogger(__name__)


class Failed(Exception):
    """One question got no usable reply. `kind` is a few words without any text of the reply; `detail` may hold some."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(kind)
        self.kind = kind
        self.detail = detail


class Transport(Protocol):
    def __call__(self, request: Mapping[str, Any], /) -> Any:
        """The reply as JSON values or plain text. Raises Failed and ModelFailure."""
        ...


class HttpTransport:
    """POST of JSON, answered in JSON. A time limit holds for the whole exchange, however slowly the bytes drip.

    On http.client, because a limit for the whole exchange needs the socket; redirects are not followed, proxies not used.
    """

    def __init__(self, name: str, external: External, *, backoff: float = 0.5) -> None:
        """`backoff` in seconds, doubled with each attempt. Raises UsageError when a header's variable is not set."""
        self._name, self._external, self._backoff = name, external, backoff
        parts = urlsplit(external.target[0])
        self._kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._host, self._port = parts.hostname or "", parts.port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._where = f"{parts.scheme}://{parts.netloc}{parts.path}"
        self._headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            **{header: _variable(name, variable) for header, variable in external.headers},
        }
        self._idle: queue.LifoQueue[http.client.HTTPConnection] = queue.LifoQueue()
        weakref.finalize(self, _close, self._idle)

    def __call__(self, request: Mapping[str, Any], /) -> Any:
        body = json.dumps(request).encode()
        for attempt in range(1, self._external.attempts + 1):
            last = attempt == self._external.attempts
            wait = self._backoff * 2 ** (attempt - 1)
            try:
                status, headers, data = self._post(body)
            except Failed:
                if last:
                    raise
            except (OSError, UnicodeError) as error:  # a host's name may be impossible
                if last:
                    what = f"does not answer ({type(error).__name__}: {error})."
                    raise ModelFailure(what, subject=f"{self._name} at {self._where}", remedy="Start it.") from error
            else:
                if 200 <= status < 300:
                    return _json(data)
                wait = _seconds(headers.get("retry-after"), otherwise=wait)
                if status not in PASSING or last or wait > LONGEST_WAIT:
                    raise self._refusal(status, data)
            time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _refusal(self, status: int, data: bytes) -> Exception:
        if status in WRONG_ADDRESS:
            remedy = "Set the variable that its headers name." if status in (401, 403) else "Correct its url."
            return ModelFailure(f"refuses with status {status}.", subject=f"{self._name} at {self._where}", remedy=remedy)
        return Failed(f"status {status}", data[:300].decode("utf-8", "replace"))

    def _post(self, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers in lower case, at most LARGEST_REPLY bytes. Raises OSError where nobody listens, else Failed."""
        connection, fresh = self._connection()
        try:
            if connection.sock is None:
                connection.connect()
            with _cut_off(connection.sock, self._external.timeout) as expired:
                try:
                    connection.request("POST", self._path, body=body, headers=self._headers)
                    reply = connection.getresponse()
                    with reply:
                        data, missing = reply.read(LARGEST_REPLY + 1), reply.length
                except (http.client.HTTPException, OSError, ValueError) as error:
                    if expired.is_set() or isinstance(error, TimeoutError):
                        raise Failed("timed out") from error
                    if not fresh:  # it was closed while it lay idle, which says nothing
                        connection.close()
                        return self._post(body)
                    raise Failed("broke off", f"{type(error).__name__}: {error}") from error
            if expired.is_set():
                raise Failed("timed out")
            if len(data) > LARGEST_REPLY:
                raise Failed("too large a reply")
            if reply.getheader("Content-Encoding", "identity") != "identity":
                raise Failed("no usable reply", "it is compressed, which was not asked for")
            if missing:
                raise Failed("broke off", f"{missing} bytes are missing")
        except BaseException:
            connection.close()
            raise
        if reply.will_close:
            connection.close()
        else:
            self._idle.put(connection)
        return reply.status, {name.lower(): value for name, value in reply.headers.items()}, data

    def _connection(self) -> tuple[http.client.HTTPConnection, bool]:
        """A connection and whether it is new; one that lies idle is taken first."""
        try:
            return self._idle.get_nowait(), False
        except queue.Empty:
            return self._kind(self._host, self._port, timeout=self._external.timeout), True


def _close(idle: queue.LifoQueue[http.client.HTTPConnection]) -> None:
    with suppress(queue.Empty):
        while True:
            idle.get_nowait().close()


@contextmanager
def _cut_off(connection: socket.socket, seconds: float) -> Iterator[threading.Event]:
    """Shut a socket down after so many seconds: whoever waits on it is woken at once. The event says that it was done."""
    expired = threading.Event()

    def cut() -> None:
        expired.set()
        with suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)  # an SSLSocket's own shutdown would first take TLS off

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield expired
    finally:
        timer.cancel()


class CommandTransport:
    """A program that reads the request as JSON on standard input and writes JSON or text to standard output. No shell."""

    def __init__(self, name: str, external: External, *, folder: Path | None = None) -> None:
        self._name, self._external, self._folder = name, external, folder

    def __call__(self, request: Mapping[str, Any], /) -> Any:
        try:
            process = subprocess.Popen(
                list(self._external.target),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self._folder,
                start_new_session=True,  # so that its children end with it
            )
        except (OSError, ValueError) as error:
            what = f"cannot be run ({error})."
            raise ModelFailure(
                what, subject=f"{self._name}: {self._external.target[0]}", remedy="Correct its command."
            ) from error
        with process:
            try:
                return self._exchange(process, json.dumps(request).encode())
            finally:
                _kill(process)  # also when an interrupt came before it was waited for

    def _exchange(self, process: subprocess.Popen[bytes], body: bytes) -> Any:
        said, complained = _Reader(process, "stdout"), _Reader(process, "stderr")
        writer = threading.Thread(target=_write, args=(process.stdin, body), daemon=True)
        writer.start()
        deadline = time.monotonic() + self._external.timeout
        try:
            code = process.wait(self._external.timeout)
            finished = said.wait(deadline) and complained.wait(deadline)
        except subprocess.TimeoutExpired:
            finished = False
        if said.overflown or complained.overflown:
            raise Failed("too large a reply")
        if not finished:
            raise Failed("timed out")
        if code:
            raise Failed(f"exit code {code}", bytes(complained.data[-500:]).decode("utf-8", "replace"))
        text = bytes(said.data).decode("utf-8", "replace").strip()
        with suppress(ValueError, RecursionError):
            reply = json.loads(text)
            if isinstance(reply, dict) and "answer" in reply:
                return reply
        return text


class _Reader:
    """Reads a stream of a process to its end in a thread of its own; one that says too much is ended."""

    def __init__(self, process: subprocess.Popen[bytes], stream: str) -> None:
        self.data = bytearray()
        self.overflown = False
        self._process = process
        self._stream: IO[bytes] = getattr(process, stream)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait(self, deadline: float) -> bool:
        """Whether the stream has ended by then: a child of the child may hold it open."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        return not self._thread.is_alive()

    def _read(self) -> None:
        with suppress(OSError, ValueError):  # closed from the other side
            while piece := self._stream.read1(65536):  # type: ignore[attr-defined]  # pipes of Popen are buffered
                self.data += piece
                if len(self.data) > LARGEST_REPLY:
                    self.overflown = True
                    _kill(self._process)
                    return


def _write(stream: IO[bytes], body: bytes) -> None:
    with suppress(OSError):  # a program need not read what it is told
        stream.write(body)
        stream.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the process and its children."""
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


class CallableTransport:
    """A Python function: `function(question)`, which gets `history` and `principals` too if it has parameters so named."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        """Raises UsageError for what cannot be called with a question."""
        self._name, self._function = name, function
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError) as error:
            raise UsageError("this is no function that takes a question.", subject=name) from error
        anything = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)
        self._extras = [key for key in ("history", "principals") if anything or key in {one.name for one in parameters}]

    def __call__(self, request: Mapping[str, Any], /) -> Any:
        try:
            return self._function(request["question"], **{key: request[key] for key in self._extras})
        except Exception as error:  # its faults are its own: one wrong answer, told in the log and counted in the report
            raise Failed(f"raised {type(error).__name__}", str(error)) from error


def _variable(name: str, variable: str) -> str:
    value = os.environ.get(variable)
    if value is None:
        raise UsageError(f"the environment variable {variable} is not set.", subject=name, remedy=f"Set {variable}.")
    if not value.isprintable():
        raise UsageError(f"the environment variable {variable} cannot be a header.", subject=name)
    return value


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Failed("no usable reply", f"it is not JSON: {data[:200]!r}") from error


def _seconds(header: str | None, *, otherwise: float) -> float:
    """Retry-After in seconds; its other form, a date, is ignored."""
    try:
        return max(0.0, float(header)) if header is not None else otherwise
    except ValueError:
        return otherwise
