"""Bytes of one document to Markdown text, or a named reason. Knows limits and the child process; knows no index, no access."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Final, Self

from groundtune.errors import BadDocument
from groundtune.ingest.converted import Converted, Options
from groundtune.ingest.detect import detect
from groundtune.store.failures import disk_failure
from groundtune.types import Document

PARSE_VERSION: Final = 2
"""Part of every stored parse's key; raise it when the same bytes may give other text."""

REMEDIES: Final = {
    "empty": "Add text, or leave it out.",
    "encrypted": "Put its password into NAME.password beside it, or into the file that ingest.passwords names.",
    "truncated": "Copy the file again; its end is missing.",
    "damaged": "Open and save it anew with the program that made it.",
    "placeholder": "Run: git lfs pull",
    "unsupported": "Convert it to PDF, DOCX, HTML or Markdown; pack archives as ZIP.",
    "no OCR": "Install tesseract's data for its language (Debian: apt-get install tesseract-ocr-eng; macOS: brew install "
    "tesseract-lang) and name the language in ingest.languages, or set TESSDATA_PREFIX to the folder of the data.",
    "too deep": "Unpack it into the documents folder.",
    "too large": "Split it into smaller documents.",
    "timed out": "Split it, save it anew, or raise ingest.seconds.",
    "out of memory": "Split it, save it anew, or raise ingest.memory_mb.",
    "unreadable": "Grant read access to the file.",
    "stopped": "Run the command again; its parser was ended from outside.",
}
"""Every reason for which a document has no text, with what a person can do."""

LASTING: Final = frozenset(REMEDIES) - {"encrypted", "timed out", "out of memory", "unreadable", "stopped"}
"""Reasons that the same bytes will always give under the same settings; the others are tried again at the next sync."""


_FROM_OUTSIDE: Final = frozenset(-number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL))
"""Exit codes that say nothing of the document: an operator, or a system that ran out of memory."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document may take, in time and memory and beyond `options`."""

    seconds: int = 50
    memory: int = 1 << 30
    """Bytes of address space of the child process."""
    input: int = 64 << 20
    """Bytes of the file."""
    options: Options = field(default_factory=Options)


class Parser:
    """Parses many documents with one warm child process, restarted after a crash, a time-out or when it has grown.

    A context manager; not for several threads at once.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._child: subprocess.Popen[bytes] | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._used = False
        self.peak: int | None = None
        """Most bytes that the child held until its last reply; None when it had to be ended."""

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

    def parse_bytes(self, data: bytes, *, id: str, modified: float = 0.0, passwords: Sequence[str] = ()) -> Document:
        """As `parse`, for bytes that were read already."""
        read = self.read(data, id=id, passwords=passwords)
        return Document(
            id=id,
            title=read.title or PurePosixPath(id).stem,
            text=read.text,
            content_hash=hashlib.sha256(data).hexdigest(),
            format=read.format,
            modified=modified,
            metadata=metadata_of(read),
            pages=read.pages,
        )

    def read(self, data: bytes, *, id: str, passwords: Sequence[str] = ()) -> Converted:
        """As `parse`; the ending of `id` tells dialects of plain text apart. The title is empty where the text has none.

        `passwords` are tried in order; they are told to the child over its pipe and to nobody else.
        """
        if not data:
            raise failure(id, "empty", "the file has no bytes")
        if len(data) > self.limits.input:
            raise failure(id, "too large", f"{len(data):,} bytes; the limit is {self.limits.input:,}")
        found = detect(data, name=id)
        if found.format in ("md", "text"):
            read = Converted(found.text or "", found.format)
        else:
            read = self._converted(data, id, passwords)
        if len(read.text) > self.limits.options.output:
            limit = self.limits.options.output
            raise failure(id, "too large", f"its text is {len(read.text):,} characters; the limit is {limit:,}")
        if not read.text.strip():
            raise failure(id, "empty", "no text was found in it")
        title = read.title or title_of(read.text, depth=_TITLE_DEPTH.get(read.format, 6))
        return replace(read, title=title, encoding=found.encoding)

    # --- the child ------------------------------------------------------------------------------------------------------

    def _converted(self, data: bytes, id: str, passwords: Sequence[str]) -> Converted:
        options = asdict(replace(self.limits.options, passwords=tuple(passwords)))
        fresh = not self._used
        reply = self._ask(data, id, options)
        blameless = reply.get("reason") in ("out of memory", "crashed") and not fresh  # perhaps the documents before it
        if blameless or reply.get("reason") == "stopped":
            self._stop()
            reply = self._ask(data, id, options)
        if reply.get("reason") == "no space":
            raise disk_failure(OSError(errno.ENOSPC, reply["detail"]), tempfile.gettempdir())
        if "reason" in reply:
            reason = "damaged" if reply["reason"] == "crashed" else reply["reason"]
            raise failure(id, reason, reply["detail"])
        memory = reply.pop("memory")
        if memory * 1024 > self.limits.memory // 3:
            self._stop()
        skipped = tuple((part, reason, detail) for part, reason, detail in reply.pop("skipped"))
        return Converted(**reply | {"pages": tuple(reply["pages"])}, skipped=skipped)

    def _ask(self, data: bytes, name: str, options: dict[str, Any]) -> dict[str, Any]:
        child = self._start()
        self._used = True
        self.peak = None
        late = threading.Event()

        def end() -> None:
            late.set()
            child.kill()

        timer = threading.Timer(self.limits.seconds, end)
        timer.start()
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(json.dumps({"name": name, "size": len(data), "options": options}).encode() + b"\n")
            child.stdin.write(data)
            child.stdin.flush()
            size = int.from_bytes(child.stdout.read(8), "big")
            if size > 12 * self.limits.options.output + (1 << 20):  # JSON escapes take at most twelve bytes a character
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
            self.peak = answer["memory"] * 1024
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
        return {"reason": "crashed", "detail": f"the parser stopped ({notes.strip()[-200:] or _ending(ended_by)})"}

    def _start(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        self._stop()
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="groundtune-parse-")
        folder = Path(self._scratch.name)
        kept = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "TESSDATA_PREFIX", "SYSTEMROOT")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        environment |= {"HOME": str(folder), "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "OMP_THREAD_LIMIT": "1"}
        environment["PYTHONPATH"] = str(Path(__file__).parents[2])
        limits = [str(value) for value in (self.limits.seconds, self.limits.memory)]
        with (folder / "notes").open("wb") as notes:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", "groundtune.ingest.worker", *limits],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=notes,
                cwd=folder,
                env=environment,
            )
        self._used = False
        assert self._child.stdout is not None
        self._child.stdout.read(1)  # it is ready, or dead: loading its libraries is no document's fault
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


def _ending(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"exit code {code}"


def parse(path: Path, *, id: str, limits: Limits | None = None) -> Document:
    """One document with a child process of its own. Raises BadDocument."""
    with Parser(limits) as parser:
        return parser.parse(path, id=id, modified=path.stat().st_mtime if path.exists() else 0.0)


def failure(id: str, reason: str, detail: str) -> BadDocument:
    return BadDocument(f"{detail}.", reason=reason, subject=id, remedy=REMEDIES[reason])


_FRONT = re.compile(r"\A---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.S)
_FRONT_TITLE = re.compile(r"^title:[ \t]*(.+?)[ \t]*\r?$", re.M | re.I)
_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.+?)[ \t]*#*[ \t]*\r?$", re.M)


_TITLE_DEPTH = {"csv": 0, "ods": 0, "xls": 0, "xlsx": 0, "zip": 0, "pdf": 2}
"""Headings that may be a title: those of workbooks and archives name sheets and files, the deep ones of a PDF are guesses."""


def metadata_of(read: Converted) -> dict[str, Any]:
    """What is known of a document besides its text."""
    known = {"encoding": read.encoding, "skipped": [list(one) for one in read.skipped]}
    return {name: value for name, value in known.items() if value}


def title_of(text: str, *, depth: int = 6) -> str:
    """What front matter names, else the first heading of at most this depth, else nothing."""
    front = _FRONT.match(text)
    named = _FRONT_TITLE.search(front.group(1)) if front else None
    if named and named.group(1).strip("\"'").strip():
        return named.group(1).strip("\"'").strip()
    headings = _HEADING.finditer(text, front.end() if front else 0)
    return next((found[2].strip() for found in headings if len(found[1]) <= depth), "")
