"""Office files, books, HTML and CSV to Markdown with kreuzberg. Knows containers and passwords; knows no PDF and no mail."""

from __future__ import annotations

import html
import io
import re
import zipfile
import zlib
from typing import Any

from groundtune.ingest.converted import Converted, Exceeded, Options, Refused, join_pages
from groundtune.ingest.salvage import SALVAGED, salvage
from groundtune.installation import install_command

MIME = {
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "epub": "application/epub+zip",
    "html": "text/html",
    "msg": "application/vnd.ms-outlook",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odt": "application/vnd.oasis.opendocument.text",
    "ppt": "application/vnd.ms-powerpoint",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "rtf": "application/rtf",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xml": "application/xml",
}
_INFLATION = 200
"""A part above 10 MB that grows by more than this is a bomb: deflate reaches 1032, office parts about 30."""
_SLIDE = "groundtune-slide-"
_SLIDE_LINE = re.compile(rf"^{_SLIDE}(\d+)$", re.M)
_NEEDLESS = re.compile(r"(?<=.)\\([#!&~+(){}.])|(?<=\w)\\(_)(?=\w)")
_NO_TITLE = frozenset({"", "(anonymous)", "untitled", "powerpoint presentation"})


def read_office(data: bytes, format: str) -> Converted:
    """Markdown of a format of MIME. Raises Refused."""
    import kreuzberg

    config = kreuzberg.ExtractionConfig(
        output_format="markdown",
        use_cache=False,
        concurrency=kreuzberg.ConcurrencyConfig(max_threads=1),
        pages=kreuzberg.PageConfig(insert_page_markers=True, marker_format=f"\n\n{_SLIDE}{{page_num}}\n\n")
        if format == "pptx"
        else None,
    )
    title = ""
    if format == "docx":
        try:
            data = _without_entities(data)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            raise Refused("damaged", str(error)) from error
    elif format == "xml":
        data = _ENTITY.sub(_stand_in, data)
    elif format == "html":
        title, page = page_of(data.decode("utf-8", errors="replace"))
        data = page.encode()
    try:
        result = kreuzberg.extract_bytes_sync(data, MIME[format], config=config)
    except MemoryError as error:
        raise Refused("out of memory", "the parser ran out of memory") from error
    except (kreuzberg.KreuzbergError, ValueError, RuntimeError, OSError) as error:
        reason, why = _reason(str(error)), str(error)[:300]
        if reason == "no space":
            raise Exceeded(reason, why) from error
        if reason == "damaged" and format in SALVAGED:
            return salvage(data, format, why=why)
        raise Refused(reason, why) from error
    text = _tidy(result.content).translate(_MEANT)
    text, pages = _slides(text) if format == "pptx" else (text, ())
    named = result.metadata.get("subject" if format == "msg" else "title")
    named = named.translate(_MEANT).strip() if isinstance(named, str) else ""
    return Converted(text, format, title=title or ("" if named.lower() in _NO_TITLE else named), pages=pages)


def container(data: bytes, *, options: Options) -> str:
    """The office format inside a ZIP file, or `archive`. Refuses what is torn or inflated before anything is unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
            names = {part.filename for part in parts}
            total = sum(part.file_size for part in parts)
            bombs = [part for part in parts if part.file_size > max(10 << 20, _INFLATION * max(part.compress_size, 1))]
            if total > options.unpacked or bombs:
                raise Refused("too large", f"it unpacks to {total:,} bytes from {len(data):,}")
            locked = any(part.flag_bits & 1 for part in parts)
            kind = archive.read("mimetype")[:100].decode("ascii", "replace").strip() if "mimetype" in names else ""
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        raise Refused("truncated" if b"PK\x05\x06" not in data[-70_000:] else "damaged", str(error)) from error
    starts = (("word/", "docx"), ("ppt/", "pptx"), ("xl/", "xlsx"))
    format = next((format for start, format in starts if any(name.startswith(start) for name in names)), "")
    format = format or next((format for format in ("epub", "odt", "ods", "odp") if kind == MIME[format]), "archive")
    if locked and format != "archive":
        raise Refused("encrypted", "it holds encrypted parts")
    return format


def compound(data: bytes) -> str:
    """The format inside an OLE file, told by the names of its streams; `protected` where those are encrypted."""

    def holds(stream: str) -> bool:
        return stream.encode("utf-16-le") in data

    streams = (
        ("EncryptedPackage", "protected"),
        ("WordDocument", "doc"),
        ("Workbook", "xls"),
        ("PowerPoint Document", "ppt"),
        ("__substg1.0_", "msg"),
        ("Book", "xls"),
    )
    for stream, format in streams:
        if holds(stream):
            return format
    raise Refused("unsupported", "it is an OLE file of an unknown kind")


def unlocked(data: bytes, *, options: Options) -> bytes:
    """A protected Office file without its protection. Raises Refused: encrypted."""
    if not options.passwords:
        raise Refused("encrypted", "it asks for a password")
    try:
        import msoffcrypto
    except ModuleNotFoundError as error:
        raise Refused(
            "encrypted", f"it asks for a password, and passwords of Office files need: {install_command('passwords')}"
        ) from error
    for password in options.passwords:
        opened: Any = msoffcrypto.OfficeFile(io.BytesIO(data))
        plain = io.BytesIO()
        try:
            opened.load_key(password=password)
            opened.decrypt(plain)
        except (msoffcrypto.exceptions.InvalidKeyError, msoffcrypto.exceptions.DecryptionError):
            continue
        return plain.getvalue()
    raise Refused("encrypted", "it asks for a password and none of those given opens it")


# kreuzberg 4.10 drops character references (`&amp;`, `&#8217;`) from DOCX and XML text: private letters stand in for them.
_ENTITY = re.compile(rb"&(amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9a-fA-F]{1,6});")
_STAND_INS = {"&": "\ue0f0", "<": "\ue0f1", ">": "\ue0f2", '"': "\ue0f3", "'": "\ue0f4"}
_MEANT = {ord(letter): meant for meant, letter in _STAND_INS.items()}


def _stand_in(reference: re.Match[bytes]) -> bytes:
    meant = html.unescape(reference[0].decode("ascii"))
    return _STAND_INS.get(meant, meant).encode("utf-8", errors="replace")


def _without_entities(data: bytes) -> bytes:
    """The file with stand-ins in its XML parts."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(changed, "w", zipfile.ZIP_STORED) as after:
        for part in before.infolist():
            content = before.read(part)
            after.writestr(part.filename, _ENTITY.sub(_stand_in, content) if part.filename.endswith(".xml") else content)
    return changed.getvalue()


def _reason(message: str) -> str:
    """The named reason behind a message of the parser."""
    low = message.lower()
    for words, reason in (
        (("no space left", "os error 28"), "no space"),
        (("password", "encrypt"), "encrypted"),
        (("bomb", "too large", "exceed"), "too large"),
        (("out of memory", "memory allocation"), "out of memory"),
        (("eocd", "unexpected end", "truncat", "unexpected eof"), "truncated"),
        (("unsupported",), "unsupported"),
    ):
        if any(word in low for word in words):
            return reason
    return "damaged"


def _tidy(text: str) -> str:
    """Without escapes that change nothing but the words."""
    return _NEEDLESS.sub(lambda match: match[1] or match[2], text.replace("&#9;", " "))


def _slides(text: str) -> tuple[str, tuple[int, ...]]:
    """The text without its marks, and where each slide begins."""
    first, *rest = _SLIDE_LINE.split(text)
    return join_pages([first, *rest[1::2]] if first.strip() else rest[1::2])


_HEAD = re.compile(r"<head\b[^>]*>(.*?)</head\s*>", re.S | re.I)
_HEAD_TITLE = re.compile(r"<title\b[^>]*>(.*?)</title\s*>", re.S | re.I)


def page_of(page: str) -> tuple[str, str]:
    """The title of an HTML page and the page without its head, of which kreuzberg makes a block of metadata in front."""
    head = _HEAD.search(page)
    title = _HEAD_TITLE.search(head.group(1)) if head else None
    body = page[: head.start()] + page[head.end() :] if head else page
    return (" ".join(html.unescape(title.group(1)).split()) if title else ""), body
