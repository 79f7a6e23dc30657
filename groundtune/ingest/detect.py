"""What a file's content is, and its text when it is plain. Knows magic bytes and encodings; starts no parser."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from charset_normalizer import from_bytes

_OFFICE = frozenset({"doc", "docx", "odp", "ods", "odt", "pdf", "ppt", "pptx", "xls", "xlsx", "epub", "msg"})
_PICTURES = frozenset({"bmp", "gif", "jpeg", "jpg", "png", "tif", "tiff", "webp"})
_ARCHIVES = frozenset({"7z", "gz", "rar", "tar", "tgz", "xz", "zip"})
_MARKDOWN = frozenset({"markdown", "md", "mdown", "mdx"})
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (b"{\\rtf", "rtf"),
    (b"\x89PNG\r\n", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF8", "image"),
    (b"II*\x00", "image"),
    (b"MM\x00*", "image"),
    (b"\x1f\x8b", "archive"),
    (b"7z\xbc\xaf", "archive"),
    (b"Rar!", "archive"),
    (b"\xfd7zXZ", "archive"),
)
_MAIL = re.compile(
    r"(?:(?:From|Received|Return-Path|Delivered-To|MIME-Version|Message-ID|Date|Subject|To): .*\r?\n(?:[ \t].*\r?\n)*){3}", re.I
)
_ONE_BYTE = ["cp1252", "cp1251", "cp1253"]
_LEGACY = [*_ONE_BYTE, "cp932", "euc_jp", "gb18030", "big5", "cp949"]
"""Legacy encodings told apart; with all of them, short Western texts are taken for exotic ones. Mostly ASCII means Western."""
_PROSE = frozenset("\t\n\r\f\x1b")


@dataclass(frozen=True, slots=True)
class Detected:
    """`format` is what the content is: `md`, `text`, `html`, `xml`, `csv`, `eml`, `rtf`, `pdf`, `zip` or `ole` (containers),
    `image`, `archive`, `mislabelled` (plain text under a binary name) or `unknown`. `text` is set for textual formats."""

    format: str
    text: str | None = None
    encoding: str = ""


def detect(data: bytes, *, name: str) -> Detected:
    """The format of `data`. The name only tells dialects of plain text apart (Markdown, CSV), which content cannot."""
    suffix = PurePosixPath(name).suffix.lower().lstrip(".")
    if b"%PDF-" in data[:1024]:
        return Detected("pdf")
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            return Detected(kind)
    if data[257:262] == b"ustar":
        return Detected("archive")
    decoded = decode(data)
    if decoded is None:
        return Detected("unknown")
    text, encoding = decoded
    head = text[:4096].lstrip().lower()
    if head.startswith(("<!doctype html", "<html")):
        return Detected("html", text, encoding)
    if suffix in _MARKDOWN:
        return Detected("md", text, encoding)
    if head.startswith("<?xml"):
        return Detected("html" if "<html" in head else "xml", text, encoding)
    if suffix in ("html", "htm", "xhtml") and "<" in head:
        return Detected("html", text, encoding)
    if suffix in ("csv", "tsv"):
        return Detected("csv", text, encoding)
    if suffix == "eml" or _MAIL.match(text[:4096]):
        return Detected("eml", text, encoding)
    if suffix in _OFFICE | _PICTURES | _ARCHIVES:
        return Detected("mislabelled", text, encoding)
    return Detected("text", text, encoding)


def decode(data: bytes) -> tuple[str, str] | None:
    """Text and encoding, or None for what is no text. A byte-order mark is dropped; nothing else is changed."""
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            return data.decode(encoding, errors="replace"), encoding
    if b"\x00" in data:
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return _guess(data)
    return (text, "utf-8") if _printable(text) else None


def _guess(data: bytes) -> tuple[str, str] | None:
    sample = data[: 1 << 16]
    best = from_bytes(sample, cp_isolation=_LEGACY).best()
    high = sum(byte >= 0x80 for byte in sample) / len(sample)
    if best is not None and best.encoding not in (["cp1252"] if high > 0.3 else _ONE_BYTE):
        text = data.decode(best.encoding, errors="replace")
        return (text, best.encoding) if _printable(text) else None
    if high > 0.3:
        return None
    text = "".join(_line(line) for line in data.splitlines(keepends=True))
    return (text, "cp1252") if _printable(text) else None


def _line(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("cp1252", errors="replace")


def _printable(text: str) -> bool:
    """At most 2 % control characters: what prose, tables and code keep under, and binary data does not."""
    sample = text[: 1 << 16]
    odd = sum(1 for character in sample if character < " " and character not in _PROSE)
    return odd * 50 <= len(sample)
