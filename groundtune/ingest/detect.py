"""What a file's content is, and its text when it is plain. Knows magic bytes and encodings; starts no parser."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from charset_normalizer import from_bytes

_MARKDOWN = frozenset({"markdown", "md", "mdown", "mdx"})
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "zip", ""),
    (b"PK\x05\x06", "zip", ""),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole", ""),
    (b"{\\rtf", "rtf", ""),
    (b"\x89PNG\r\n", "image", "image/png"),
    (b"\xff\xd8\xff", "image", "image/jpeg"),
    (b"GIF8", "image", "image/gif"),
    (b"II*\x00", "image", "image/tiff"),
    (b"MM\x00*", "image", "image/tiff"),
    (b"\x1f\x8b", "archive", ""),
    (b"7z\xbc\xaf", "archive", ""),
    (b"Rar!", "archive", ""),
    (b"\xfd7zXZ", "archive", ""),
    (b"version https://git-lfs.github.com/spec/", "placeholder", ""),
)
_PDF = re.compile(rb"(?:\A|[\r\n])\s*%PDF-\d\.\d")
_HEADER = rb"(?:From|Received|Return-Path|Delivered-To|MIME-Version|Message-ID|Date|Subject|To|X-[\w-]+):"
_MAIL = re.compile(rb"(?:" + _HEADER + rb" .*\r?\n(?:[ \t].*\r?\n)*){3}", re.I)
_MAILBOX = re.compile(rb"From \S+ .*\d\r?\n" + _HEADER, re.I)
_ONE_BYTE = ["cp1252", "cp1251", "cp1253"]
_LEGACY = [*_ONE_BYTE, "cp932", "euc_jp", "gb18030", "big5", "cp949"]
"""Legacy encodings told apart; with all of them, short Western texts are taken for exotic ones. Mostly ASCII means Western."""
_PROSE = frozenset("\t\n\r\f\x1b")


@dataclass(frozen=True, slots=True)
class Detected:
    """`format` is what the content is: `md`, `text`, `html`, `xml`, `csv`, `eml`, `mbox`, `rtf`, `pdf`, `zip` or `ole`
    (containers), `image`, `archive` (of a kind that is not unpacked), `placeholder` (Git LFS) or `unknown`. `text` is set for
    textual formats."""

    format: str
    text: str | None = None
    encoding: str = ""
    mime: str = ""
    """Of pictures."""


def detect(data: bytes, *, name: str) -> Detected:
    """The format of `data`. The name only tells dialects of plain text apart (Markdown, CSV, mail), which content cannot."""
    suffix = PurePosixPath(name).suffix.lower().lstrip(".")
    if _PDF.search(data[:1024]):
        return Detected("pdf")
    for magic, kind, mime in _MAGIC:
        if data.startswith(magic):
            return Detected(kind, mime=mime)
    if data[257:262] == b"ustar":
        return Detected("archive")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Detected("image", mime="image/webp")
    if data[:2] == b"BM" and int.from_bytes(data[2:6], "little") == len(data):
        return Detected("image", mime="image/bmp")
    if _MAILBOX.match(data):
        return Detected("mbox")
    if _MAIL.match(data[:8192]) and suffix not in _MARKDOWN:
        return Detected("eml")
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
    if suffix == "eml":
        return Detected("eml")
    return Detected("text", text, encoding)


def decode(data: bytes) -> tuple[str, str] | None:
    """Text and encoding, or None for what is no text. A byte-order mark is dropped, NUL becomes SUB."""
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            return data.decode(encoding, errors="replace"), encoding
    wide = _unmarked_utf_16(data[:4096])
    if wide:
        text = data.decode(wide, errors="replace")
        return (text, wide) if _printable(text) else None
    data = data.replace(b"\x00", b"\x1a")  # what ASCII has for a character that went wrong
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


def _unmarked_utf_16(sample: bytes) -> str:
    """UTF-16 without a byte-order mark, told by every other byte being zero; empty for anything else."""
    half = len(sample) // 2
    first, second = sample[: 2 * half : 2].count(0), sample[1 : 2 * half : 2].count(0)
    if half > 3 and 20 * first < half < 2 * second:
        return "utf-16-le"
    return "utf-16-be" if half > 3 and 20 * second < half < 2 * first else ""


def _line(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("cp1252", errors="replace")


def _printable(text: str) -> bool:
    """At most 2 % control characters, or one: what prose, tables and code keep under, and binary data does not."""
    sample = text[: 1 << 16]
    odd = sum(1 for character in sample if character < " " and character not in _PROSE)
    return odd * 50 <= max(50, len(sample))
