"""What reading documents gives: broken and hostile files, bombs, and headings, tables and pages of files made here.

    python -m benchmarks.documents [--only docs_messy|bombs|structure|pairs]

Each file of `docs_messy` and each bomb is read by a child process of its own: outcome, seconds, peak memory. Structure is
recovered from seeded files whose headings, tables and pages are known, and from the firm of `kb_rag_multi_corpus` that exists
as Markdown, DOCX and PDF; kreuzberg's own Markdown of the same PDFs stands beside it.
"""

from __future__ import annotations

import argparse
import io
import resource
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import Figure, Goal, data_folder, goal, save
from benchmarks.known_structure import pairs, structure
from groundtune.errors import BadDocument, NotFound
from groundtune.ingest.ocr import data_folder as ocr_data
from groundtune.ingest.parse import REMEDIES, Limits, Parser

PASSWORDS = ("1234", "openpassword")
"""Of the protected files in `docs_messy`, as its SOURCE.txt says."""
MOST_SECONDS, MOST_MB = 60, 1024


# --- outcomes -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    name: str
    outcome: str
    """A format, or a named reason."""
    characters: int
    skipped: int
    seconds: float
    peak_mb: float | None
    """None where the file never came to the child, or the child had to be ended."""


def outcome(name: str, data: bytes) -> Outcome:
    """Read one document with a child process of its own."""
    with Parser(Limits()) as parser:
        parser.parse_bytes(b"a,b\n1,2\n", id="warm.csv")
        parser.peak = None
        started = time.perf_counter()
        what, characters, skipped = "", 0, 0
        try:
            found = parser.parse_bytes(data, id=name, passwords=PASSWORDS)
            what, characters, skipped = found.format, len(found.text), len(found.metadata.get("skipped", ()))
        except BadDocument as error:
            what = error.reason
        seconds = time.perf_counter() - started
        return Outcome(name, what, characters, skipped, seconds, parser.peak and parser.peak / 2**20)


def outcomes(prefix: str, files: Iterator[tuple[str, bytes]]) -> tuple[dict[str, Figure], list[Outcome]]:
    figures: dict[str, Figure] = {}
    found = []
    for name, data in files:
        one = outcome(name, data)
        found.append(one)
        print(f"{prefix} {name}: {one.outcome}, {one.seconds:.1f} s", file=sys.stderr, flush=True)
        figures[f"{prefix} {name}: outcome"] = one.outcome
        figures[f"{prefix} {name}: characters"] = one.characters
        figures[f"{prefix} {name}: seconds"] = one.seconds
        figures[f"{prefix} {name}: peak_mb"] = one.peak_mb
    return figures, found


def messy() -> Iterator[tuple[str, bytes]]:
    folder = data_folder("docs_messy")
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def bombs() -> Iterator[tuple[str, bytes]]:
    """Small files that grow: in bytes, in parts, in depth, in entities, in pixels, in pages."""

    def packed(parts: dict[str, bytes]) -> bytes:
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in parts.items():
                archive.writestr(name, content)
        return data.getvalue()

    def within(depth: int) -> bytes:
        data = b"core"
        for level in range(depth):
            data = packed({f"{level}.zip": data})
        return data

    laughs = '<!DOCTYPE l [<!ENTITY a "ha">' + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
    word = b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>'
    yield "zeros_2GB.zip", packed({"a": bytes(1 << 31)})
    yield "many_parts.zip", packed({f"{number}.txt": b"x" for number in range(20_000)})
    yield "deep.zip", within(60)
    yield (
        "wide_and_deep.zip",
        packed({f"{n}.zip": packed({f"{m}.zip": packed({"a": bytes(10 << 20)}) for m in range(10)}) for n in range(10)}),
    )
    yield "laughs.xml", f"{laughs}]><l>&j;</l>".encode()
    yield "laughs.docx", packed({"word/document.xml": f"{laughs}]>".encode() + word + b"&j;</w:body></w:document>"})
    yield "paragraphs.docx", packed({"word/document.xml": word + b"<w:p><w:r><w:t>x</w:t></w:r></w:p>" * 1_500_000})
    yield "nested_tags.html", b"<html>" + b"<div>" * 300_000 + b"x"
    yield "nested_groups.rtf", b"{\\rtf1" + b"{" * 300_000 + b"x"
    yield "nested_quotes.md.html", b"<html>" + b"<blockquote>" * 20_000 + b"x"
    yield "one_line.csv", b"a," * 5_000_000
    yield "open_marks.md", b"[" * 200_000 + b"`" * 200_000 + b"# " * 200_000
    yield "messages_in_messages.eml", _messages(200)
    yield "pixels.png", _png(60_000, 60_000)
    yield "flate.pdf", _pdf(zlib.compress(b"BT /F1 12 Tf 10 10 Td (x) Tj ET\n" * 8_000_000, 9))
    yield "nested_arrays.pdf", _pdf(zlib.compress(b"[" * 20_000_000, 9))
    yield "pages.pdf", _pages(200_000)
    yield "cells.xlsx", packed({"xl/workbook.xml": b"<workbook/>", "xl/worksheets/sheet1.xml": b"<row>" * 40_000_000})


def _messages(depth: int) -> bytes:
    data = b"Subject: core\r\nFrom: a@example.com\r\nTo: b@example.com\r\n\r\nx"
    for level in range(depth):
        head = b"Subject: level\r\nFrom: a@example.com\r\nTo: b@example.com\r\nMIME-Version: 1.0\r\n"
        data = (
            head
            + b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\nContent-Type: message/rfc822\r\n\r\n"
            % (level, level)
            + data
        )
        data += b"\r\n--b%d--\r\n" % level
    return data


def _png(width: int, height: int) -> bytes:
    def part(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + width // 8)) for _ in range(height)) + packer.flush()
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x01\x00\x00\x00\x00"
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", rows) + part(b"IEND", b"")


def _pdf(stream: bytes) -> bytes:
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        page,
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    return _objects(objects)


def _pages(count: int) -> bytes:
    kids = b"3 0 R " * count
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] >>"
    return _objects([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, count), page])


def _objects(objects: Sequence[bytes]) -> bytes:
    data, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + b"".join(b"%010d 00000 n \n" % at for at in places)
    return data + table + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(data))


# --- all ----------------------------------------------------------------------------------------------------------------


def safe(found: Sequence[Outcome], prefix: str) -> list[Goal]:
    slowest = max(one.seconds for one in found)
    largest = max((one.peak_mb or 0.0) for one in found)
    unnamed = sum(not one.characters and one.outcome not in REMEDIES for one in found)
    return [
        goal(f"{prefix}_slowest_seconds", slowest, "<=", MOST_SECONDS),
        goal(f"{prefix}_largest_peak_mb", largest, "<=", MOST_MB),
        goal(f"{prefix}_without_text_or_reason_count", unnamed, "==", 0),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("docs_messy", "bombs", "structure", "pairs"))
    chosen = parser.parse_args()
    figures: dict[str, Figure] = {"ocr_languages": "eng" if ocr_data(["eng"]) else "none installed"}
    goals: list[Goal] = []
    outside = {path: set(path.iterdir()) for path in (Path.home(), Path.cwd(), Path(tempfile.gettempdir()))}
    for name, files in (("docs_messy", messy), ("bombs", bombs)):
        if chosen.only in (None, name):
            try:
                more, found = outcomes(name, files())
            except NotFound as error:
                print(f"left out: {error}")
                continue
            figures |= more
            figures[f"{name}_files_count"] = len(found)
            figures[f"{name}_with_text_count"] = sum(one.characters > 0 for one in found)
            goals += safe(found, name)
    if chosen.only in (None, "structure"):
        more = structure()
        figures |= more
        goals += [
            goal(f"{name}_{what}_share", more[f"{name}_{what}_share"], ">=", 0.95)
            for name in ("pdf_with_lines", "docx", "html")
            for what in ("headings_found", "table_cells_in_place", "words_kept")
        ]
    if chosen.only in (None, "pairs"):
        try:
            figures |= pairs()
        except NotFound as error:
            print(f"left out: {error}")
    written = sum(len(set(path.iterdir()) - before) for path, before in outside.items() if path.name != "tmp")
    goals.append(goal("files_written_outside_count", written, "==", 0))
    figures["children_peak_mb"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    save("documents" if chosen.only is None else f"documents_{chosen.only}", figures, goals)


if __name__ == "__main__":
    main()
