"""Child process that turns bytes into Markdown with kreuzberg, under limits. Knows no file, no Groundtune and no network.

Standard library and kreuzberg only: it is started by path. Each request is a JSON line {format, name, size} followed by the
bytes; each reply is 8 bytes of length and JSON: {text, title, format, memory} or {reason, detail}.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import select
import signal
import sys
import threading
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

MIME = {
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "eml": "message/rfc822",
    "epub": "application/epub+zip",
    "html": "text/html",
    "msg": "application/vnd.ms-outlook",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odt": "application/vnd.oasis.opendocument.text",
    "pdf": "application/pdf",
    "ppt": "application/vnd.ms-powerpoint",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "rtf": "application/rtf",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xml": "application/xml",
}
EXPANDED_BYTES = 256 << 20
"""Most that the parts of one office file may hold together when unpacked."""
INFLATION = 200
"""A part above 10 MB that grows by more than this is a bomb: deflate reaches 1032, office parts about 30."""


class Refused(Exception):
    """A named reason and what was seen."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)


def container(data: bytes) -> str:
    """The office format inside a ZIP file. Refuses what is encrypted, torn or inflated before anything is unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
            names = {part.filename for part in parts}
            if any(part.flag_bits & 1 for part in parts):
                raise Refused("encrypted", "it holds encrypted parts")
            total = sum(part.file_size for part in parts)
            bombs = [part for part in parts if part.file_size > max(10 << 20, INFLATION * max(part.compress_size, 1))]
            if total > EXPANDED_BYTES or bombs:
                raise Refused("too large", f"it unpacks to {total:,} bytes from {len(data):,}")
            kind = archive.read("mimetype")[:100].decode("ascii", "replace").strip() if "mimetype" in names else ""
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        raise Refused("truncated" if b"PK\x05\x06" not in data[-70_000:] else "damaged", str(error)) from error
    for start, format in (("word/", "docx"), ("ppt/", "pptx"), ("xl/", "xlsx")):
        if any(name.startswith(start) for name in names):
            return format
    for format in ("epub", "odt", "ods", "odp"):
        if kind == MIME[format]:
            return format
    raise Refused("unsupported", "it is an archive, not one document")


def compound(data: bytes) -> str:
    """The format inside an OLE file, told by the names of its streams."""

    def holds(stream: str) -> bool:
        return stream.encode("utf-16-le") in data

    if holds("EncryptedPackage"):
        raise Refused("encrypted", "it asks for a password")
    streams = (("WordDocument", "doc"), ("Workbook", "xls"), ("PowerPoint Document", "ppt"), ("__substg1.0_", "msg"))
    for stream, format in streams:
        if holds(stream):
            return format
    if holds("Book"):
        return "xls"
    raise Refused("unsupported", "it is an OLE file of an unknown kind")


def reason_of(message: str, *, format: str, data: bytes) -> str:
    """The named reason behind a parser's message."""
    low = message.lower()
    if "no space left" in low or "os error 28" in low:
        return "no space"
    if "password" in low or "encrypt" in low:
        return "encrypted"
    if "bomb" in low or "too large" in low or "exceed" in low:
        return "too large"
    if "out of memory" in low or "memory allocation" in low:
        return "out of memory"
    if "eocd" in low or "unexpected end" in low or "truncat" in low or "unexpected eof" in low:
        return "truncated"
    if format == "pdf" and b"%%EOF" not in data[-2048:]:
        return "truncated"
    if "ocr" in low or "tesseract" in low or "unsupported" in low:
        return "unsupported"
    return "damaged"


def extract(data: bytes, format: str, *, output: int) -> dict[str, Any]:
    """Markdown of `data`. Raises Refused."""
    import kreuzberg

    config = kreuzberg.ExtractionConfig(
        output_format="markdown", use_cache=False, concurrency=kreuzberg.ConcurrencyConfig(max_threads=1)
    )
    if format == "zip":
        format = container(data)
    elif format == "ole":
        format = compound(data)
    try:
        result = kreuzberg.extract_bytes_sync(data, MIME[format], config=config)
    except MemoryError as error:
        raise Refused("out of memory", "the parser ran out of memory") from error
    except (kreuzberg.KreuzbergError, ValueError, RuntimeError, OSError) as error:
        raise Refused(reason_of(str(error), format=format, data=data), str(error)[:300]) from error
    text = result.content
    if len(text) > output:
        raise Refused("too large", f"its text is {len(text):,} characters long")
    title = result.metadata.get("title")
    return {"text": text, "title": title if isinstance(title, str) else "", "format": format}


def serve(requests: BinaryIO, replies: BinaryIO, *, seconds: int, output: int) -> None:
    """Answer until the parent closes the pipe."""
    while header := requests.readline():
        request = json.loads(header)
        data = requests.read(request["size"])
        signal.alarm(seconds + 5)  # an orphan ends too
        reply: dict[str, Any]
        try:
            reply = extract(data, request["format"], output=output)
        except Refused as refused:
            reply = {"reason": refused.args[0], "detail": refused.args[1]}
        except MemoryError:
            reply = {"reason": "out of memory", "detail": "the parser ran out of memory"}
        del data
        signal.alarm(0)
        reply["memory"] = peak()
        payload = json.dumps(reply).encode()
        replies.write(len(payload).to_bytes(8, "big") + payload)
        replies.flush()


def end_with_parent() -> None:
    """End when the other end of standard input is closed, which the death of the parent does, even by `kill -9`."""
    hung_up = select.poll()
    hung_up.register(0, 0)  # errors and hang-ups are always told
    hung_up.poll()
    os._exit(1)


def peak() -> int:
    """Most kilobytes that this process held. `ru_maxrss` is the last resort: it starts at what the parent held at the time."""
    with contextlib.suppress(OSError), Path("/proc/self/status").open(encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    seconds, memory, output = (int(value) for value in sys.argv[1:4])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    unpacked = 64 << 20  # pdfium writes itself to a file on first use
    limits = ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, unpacked))
    for kind, value in limits:
        with contextlib.suppress(ValueError, OSError):  # a stricter limit is already in force
            resource.setrlimit(kind, (value, value))
    threading.Thread(target=end_with_parent, daemon=True).start()
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what native code prints must not enter the protocol
    serve(sys.stdin.buffer, replies, seconds=seconds, output=output)


if __name__ == "__main__":
    main()
