"""Bytes of one document to Markdown text, or a named reason. Knows limits and the child process; knows no index, no access."""

from __future__ import annotations

import errno
import hashlib
import html
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Final, Self

from groundtune.errors import BadDocument
from groundtune.ingest.detect import Detected, detect
from groundtune.store.failures import disk_failure
from groundtune.types import Document

PARSE_VERSION: Final = 1
"""Part of every stored parse's key; raise it when the same bytes may give other text."""

REMEDIES: Final = {
    "empty": "Add text, or leave it out; scans need OCR, which is not set up.",
    "encrypted": "Save a copy without a password.",
    "truncated": "Copy the file again; its end is missing.",
    "damaged": "Open and save it anew with the program that made it.",
    "mislabelled": "Give it the name ending of what it is, such as .txt.",
    "unsupported": "Convert it to PDF, DOCX, HTML or Markdown; unpack archives into the folder.",
    "too large": "Split it into smaller documents.",
    "timed out": "Split it or save it anew; it took the parser too long.",
    "out of memory": "Split it or save it anew; it took the parser too much memory.",
    "unreadable": "Grant read access to the file.",
    "stopped": "Run the command again; its parser was ended from outside.",
}
"""Every reason for which a document has no text, with what a person can do."""

LASTING: Final = frozenset(REMEDIES) - {"timed out", "out of memory", "unreadable", "stopped"}
"""Reasons that the same bytes will always give; the others are tried again at the next sync."""


_FROM_OUTSIDE: Final = frozenset(-number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL))
"""Exit codes that say nothing of the document: an operator, or a system that ran out of memory."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document may take."""

    seconds: int = 50
    memory: int = 1 << 30
    """Bytes of address space of the child process."""
    input: int = 64 << 20
    """Bytes of the file."""
    output: int = 20_000_000
    """Characters of Markdown."""


class Parser:
    """Parses many documents with one warm child process, restarted after a crash, a time-out or when it has grown.

    A context manager; not for several threads at once.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._child: subprocess.Popen[bytes] | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._used = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._stop()
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None

    def parse(self, path: Path, *, id: str, modified: float = 0.0) -> Document:
        """The document in `path` as Markdown. Plain text comes out character for character, without a byte-order mark.

        Raises BadDocument whose `reason` is a key of REMEDIES, WorkspaceError where temporary files find no space.
        """
        try:
            size = path.stat().st_size
            data = path.read_bytes() if size <= self.limits.input else b""
        except OSError as error:
            raise failure(id, "unreadable", error.strerror or str(error)) from error
        if size > self.limits.input:
            raise failure(id, "too large", f"{size:,} bytes; the limit is {self.limits.input:,}")
        return self.parse_bytes(data, id=id, modified=modified)

    def parse_bytes(self, data: bytes, *, id: str, modified: float = 0.0) -> Document:
        """As `parse`, for bytes that were read already; `id` serves as the name."""
        if not data:
            raise failure(id, "empty", "the file has no bytes")
        if len(data) > self.limits.input:
            raise failure(id, "too large", f"{len(data):,} bytes; the limit is {self.limits.input:,}")
        found = detect(data, name=id)
        if found.format in ("md", "text"):
            text, format, title = found.text or "", found.format, ""
        else:
            text, format, title = self._extract(data, found, id)
        if len(text) > self.limits.output:
            raise failure(id, "too large", f"its text is {len(text):,} characters; the limit is {self.limits.output:,}")
        if not text.strip():
            raise failure(id, "empty", "no text was found in it")
        metadata = {"encoding": found.encoding} if found.encoding else {}
        return Document(
            id=id,
            title=title or title_of(text, id),
            text=text,
            content_hash=hashlib.sha256(data).hexdigest(),
            format=format,
            modified=modified,
            metadata=metadata,
        )

    # --- the child ------------------------------------------------------------------------------------------------------

    def _extract(self, data: bytes, found: Detected, id: str) -> tuple[str, str, str]:
        if found.format == "mislabelled":
            raise failure(id, "mislabelled", f"it is named {PurePosixPath(id).suffix} but holds plain text")
        if found.format == "unknown":
            raise failure(id, "unsupported", "its content is of no known kind")
        if found.format in ("image", "archive"):
            raise failure(id, "unsupported", f"it is an {found.format}, not a text document")
        title = ""
        if found.text is not None:  # the parser guesses encodings less well
            title, text = page_of(found.text) if found.format == "html" else ("", found.text)
            data = text.encode("utf-8", errors="replace")
        fresh = not self._used
        reply = self._ask(data, found.format)
        blameless = reply.get("reason") in ("out of memory", "crashed") and not fresh  # perhaps the documents before it
        if blameless or reply.get("reason") == "stopped":
            self._stop()
            reply = self._ask(data, found.format)
        if reply.get("reason") == "no space":
            raise disk_failure(OSError(errno.ENOSPC, reply["detail"]), tempfile.gettempdir())
        if "reason" in reply:
            reason = "damaged" if reply["reason"] == "crashed" else reply["reason"]
            raise failure(id, reason, reply["detail"])
        if reply["memory"] * 1024 > self.limits.memory // 3:
            self._stop()
        named = reply["title"].strip()
        if reply["format"] in ("csv", "xls", "xlsx", "ods"):  # the first heading is the name of a sheet
            named = named or PurePosixPath(id).stem
        return reply["text"], reply["format"], title or ("" if named.lower() in _NO_TITLE else named)

    def _ask(self, data: bytes, format: str) -> dict[str, Any]:
        child = self._start()
        self._used = True
        late = threading.Event()

        def end() -> None:
            late.set()
            child.kill()

        timer = threading.Timer(self.limits.seconds, end)
        timer.start()
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(json.dumps({"format": format, "size": len(data)}).encode() + b"\n")
            child.stdin.write(data)
            child.stdin.flush()
            size = int.from_bytes(child.stdout.read(8), "big")
            if size > 6 * self.limits.output + 4096:  # JSON escapes take at most six bytes a character
                self._stop()
                return {"reason": "too large", "detail": f"its text takes {size:,} bytes"}
            payload = child.stdout.read(size)
        except BrokenPipeError:
            size, payload = 0, b""
        finally:
            timer.cancel()
            timer.join()
        if size and len(payload) == size:
            if late.is_set():
                self._stop()
            answer: dict[str, Any] = json.loads(payload)
            return answer
        with suppress(subprocess.TimeoutExpired):
            child.wait(1)  # it has closed its end, so it is about to be gone
        notes, ended_by = self._stop()
        if late.is_set():
            return {"reason": "timed out", "detail": f"no result after {self.limits.seconds} s"}
        if ended_by in _FROM_OUTSIDE:
            return {"reason": "stopped", "detail": f"the parser got {signal.Signals(-ended_by).name}"}
        if "memory" in notes.lower():
            return {"reason": "out of memory", "detail": f"it takes more than {self.limits.memory:,} bytes"}
        return {"reason": "crashed", "detail": f"the parser stopped ({notes.strip()[-200:] or 'no message'})"}

    def _start(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        self._stop()
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="groundtune-parse-")
        folder = Path(self._scratch.name)
        kept = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "TESSDATA_PREFIX", "SYSTEMROOT")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        environment |= {"HOME": str(folder), "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        worker = Path(__file__).with_name("worker.py")
        limits = [str(value) for value in (self.limits.seconds, self.limits.memory, self.limits.output)]
        with (folder / "notes").open("wb") as notes:
            self._child = subprocess.Popen(
                [sys.executable, "-P", str(worker), *limits],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=notes,
                cwd=folder,
                env=environment,
            )
        self._used = False
        return self._child

    def _stop(self) -> tuple[str, int]:
        """End the child; returns what it wrote to its error stream, and its exit code where it had ended by itself, else 0."""
        child, self._child = self._child, None
        if child is None:
            return "", 0
        ended_by = child.poll() or 0
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue  # unsent bytes of a request whose child is gone
        assert self._scratch is not None
        return (Path(self._scratch.name) / "notes").read_text(encoding="utf-8", errors="replace"), ended_by


def parse(path: Path, *, id: str, limits: Limits | None = None) -> Document:
    """One document with a child process of its own. Raises BadDocument."""
    with Parser(limits) as parser:
        return parser.parse(path, id=id, modified=path.stat().st_mtime if path.exists() else 0.0)


def failure(id: str, reason: str, detail: str) -> BadDocument:
    return BadDocument(f"{detail}.", reason=reason, subject=id, remedy=REMEDIES[reason])


_FRONT = re.compile(r"\A---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.S)
_FRONT_TITLE = re.compile(r"^title:[ \t]*(.+?)[ \t]*\r?$", re.M | re.I)
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t]*#*[ \t]*\r?$", re.M)


def title_of(text: str, id: str) -> str:
    """The title that front matter names, else the first heading, else the file's name without its ending."""
    front = _FRONT.match(text)
    named = _FRONT_TITLE.search(front.group(1)) if front else None
    if named and named.group(1).strip("\"'").strip():
        return named.group(1).strip("\"'").strip()
    heading = _HEADING.search(text, front.end() if front else 0)
    return heading.group(1).strip() if heading else PurePosixPath(id).stem


_HEAD = re.compile(r"<head\b[^>]*>(.*?)</head\s*>", re.S | re.I)
_HEAD_TITLE = re.compile(r"<title\b[^>]*>(.*?)</title\s*>", re.S | re.I)
_NO_TITLE = frozenset({"", "(anonymous)", "untitled", "powerpoint presentation"})


def page_of(page: str) -> tuple[str, str]:
    """The title of an HTML page and the page without its head, of which kreuzberg makes a block of metadata in front."""
    head = _HEAD.search(page)
    title = _HEAD_TITLE.search(head.group(1)) if head else None
    body = page[: head.start()] + page[head.end() :] if head else page
    return (" ".join(html.unescape(title.group(1)).split()) if title else ""), body
