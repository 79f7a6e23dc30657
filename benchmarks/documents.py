"""What reading documents gives: broken and hostile files, bombs, and headings, tables and pages of files made here.

    python -m benchmarks.documents [--only docs_messy|bombs|structure|pairs]

Each file of `docs_messy` and each bomb is read by a child process of its own: outcome, seconds, peak memory. Structure is
recovered from seeded files whose headings, tables and pages are known, and from the firm of `kb_rag_multi_corpus` that exists
as Markdown, DOCX and PDF; kreuzberg's own Markdown of the same PDFs stands beside it.
"""

from __future__ import annotations

import argparse
import io
import random
import re
import resource
import tempfile
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import Figure, Goal, data_folder, goal, save
from groundtune.errors import BadDocument, NotFound
from groundtune.ingest.blocks import blocks
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


# --- structure ----------------------------------------------------------------------------------------------------------

WORDS = (
    *("kettle", "ladder", "printer", "scanner", "trolley", "cabinet", "archive"),
    *("valve", "engine", "contract", "invoice", "warranty", "harbour", "garden"),
)


@dataclass(frozen=True, slots=True)
class Known:
    """A document whose structure is known: pages of (kind, content)."""

    pages: tuple[tuple[tuple[str, object], ...], ...]

    @property
    def headings(self) -> list[tuple[int, str]]:
        return [(int(kind[1]), str(text)) for page in self.pages for kind, text in page if kind in ("h1", "h2")]

    @property
    def tables(self) -> list[list[list[str]]]:
        return [content for page in self.pages for kind, content in page if isinstance(content, list) and kind == "table"]


def known(seed: int) -> Known:
    rng = random.Random(seed)

    def sentence() -> str:
        return " ".join(rng.choice(WORDS) for _ in range(rng.randint(8, 16))).capitalize() + "."

    def table() -> list[list[str]]:
        columns = rng.randint(2, 5)
        head = [rng.choice(WORDS).capitalize() for _ in range(columns)]
        return [
            head,
            *([rng.choice((rng.choice(WORDS), str(rng.randint(1, 9999)))) for _ in head] for _ in range(rng.randint(3, 7))),
        ]

    pages = []
    for number in range(3):
        page: list[tuple[str, object]] = [("h1", f"{rng.choice(WORDS).capitalize()} manual {seed}")] if not number else []
        for part in range(2):
            page.append(("h2", f"{number + 1}.{part + 1} {rng.choice(WORDS).capitalize()} and {rng.choice(WORDS)}"))
            page.append(("text", " ".join(sentence() for _ in range(4))))
            if rng.random() < 0.7:
                page.append(("table", table()))
        page.append(("text", f"Marker of page {number + 1} of {seed}."))
        pages.append(tuple(page))
    return Known(tuple(pages))


def as_pdf(document: Known, *, lines: bool) -> bytes:
    from fpdf import FPDF

    made = FPDF(format="A4")
    made.set_margin(20)
    for page in document.pages:
        made.add_page()
        for kind, content in page:
            if kind in ("h1", "h2"):
                made.set_font("helvetica", style="B", size=20 if kind == "h1" else 14)
                made.multi_cell(0, 10, str(content), new_x="LMARGIN", new_y="NEXT")
            made.set_font("helvetica", size=11)
            if kind == "text":
                made.multi_cell(0, 6, str(content), new_x="LMARGIN", new_y="NEXT")
            elif isinstance(content, list) and lines:
                with made.table(content):
                    pass
            elif isinstance(content, list):
                for row in content:
                    for cell in row:
                        made.cell(170 / len(row), 7, cell)
                    made.ln()
            made.ln(4)
    return bytes(made.output())


def as_docx(document: Known) -> bytes:
    from docx import Document as Word

    made = Word()
    for page in document.pages:
        for kind, content in page:
            if kind in ("h1", "h2"):
                made.add_heading(str(content), level=int(kind[1]))
            elif isinstance(content, list):
                table = made.add_table(rows=0, cols=len(content[0]))
                for row in content:
                    for cell, text in zip(table.add_row().cells, row, strict=True):
                        cell.text = text
            else:
                made.add_paragraph(str(content))
    data = io.BytesIO()
    made.save(data)
    return data.getvalue()


def as_html(document: Known) -> bytes:
    parts = []
    for page in document.pages:
        for kind, content in page:
            if isinstance(content, list):
                rows = ("".join(f"<td>{cell}</td>" for cell in row) for row in content)
                parts.append("<table>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>")
            else:
                tag = "p" if kind == "text" else kind
                parts.append(f"<{tag}>{content}</{tag}>")
    return f"<!doctype html><html><head><title>x</title></head><body>{''.join(parts)}</body></html>".encode()


@dataclass
class Recovered:
    """Counts over documents."""

    headings: int = 0
    headings_wanted: int = 0
    headings_false: int = 0
    levels: int = 0
    cells: int = 0
    cells_wanted: int = 0
    words: int = 0
    words_wanted: int = 0
    pages: int = 0
    pages_wanted: int = 0

    def add(self, document: Known, text: str, pages: tuple[int, ...] = ()) -> None:
        """Compare with what was put in."""
        pieces = (
            piece
            for page in document.pages
            for _, content in page
            for piece in ([cell for row in content for cell in row] if isinstance(content, list) else [str(content)])
        )
        self.compare(document.headings, document.tables, " ".join(pieces), text)
        for number in range(1, len(document.pages) + 1) if pages else ():
            at = text.find(f"Marker of page {number} of")
            self.pages += at >= 0 and sum(start <= at for start in pages) == number
            self.pages_wanted += 1

    def compare(
        self, headings: Sequence[tuple[int, str]], tables: Sequence[Sequence[Sequence[str]]], everything: str, text: str
    ) -> None:
        """`everything` holds all words that `text` should."""
        found = headings_of(text)
        names = Counter(_plain(name) for _, name in found)
        wanted = Counter(_plain(name) for _, name in headings)
        self.headings += sum((names & wanted).values())
        self.headings_false += sum((names - wanted).values())
        self.headings_wanted += wanted.total()
        depth = {_plain(name): level for level, name in found}
        shift = min(depth.values(), default=1) - min((level for level, _ in headings), default=1)
        self.levels += sum(depth.get(_plain(name), 0) - shift == level for level, name in headings)
        cells = Counter(place for table in tables_of(text) for place in _places(table))
        for table in tables:
            self.cells += sum((Counter(_places(table)) & cells).values())
            self.cells_wanted += len(_places(table))
        said, all_words = (Counter(re.findall(r"\w+", one)) for one in (text, everything))
        self.words += sum((said & all_words).values())
        self.words_wanted += all_words.total()

    def figures(self, name: str) -> dict[str, Figure]:
        return {
            f"{name}_headings_found_share": self.headings / self.headings_wanted,
            f"{name}_headings_of_right_level_share": self.levels / self.headings_wanted,
            f"{name}_false_headings_count": self.headings_false,
            f"{name}_table_cells_in_place_share": self.cells / self.cells_wanted,
            f"{name}_words_kept_share": self.words / self.words_wanted,
            f"{name}_page_right_share": self.pages / self.pages_wanted if self.pages_wanted else None,
        }


def headings_of(text: str) -> list[tuple[int, str]]:
    return [(block.level, block.path[-1]) for block in blocks(text) if block.level and block.path]


def tables_of(text: str) -> list[list[list[str]]]:
    found = []
    for block in blocks(text):
        lines = text[block.start : block.end].splitlines()
        if block.whole and lines[0].startswith("|"):
            rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
            found.append([row for row in rows if not all(re.fullmatch(r":?-+:?", cell) for cell in row)])
    return found


def _places(table: Sequence[Sequence[str]]) -> list[tuple[str, str, str]]:
    """Each cell with the head of its column and the first cell of its row."""
    return [
        (_plain(table[0][n]), _plain(row[0]), _plain(cell))
        for row in table[1:]
        for n, cell in enumerate(row)
        if n < len(table[0])
    ]


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[\\*_]", "", text).split())


def structure(count: int = 20) -> dict[str, Figure]:
    """Shares of known headings, cells, words and pages that came out, by format."""
    import kreuzberg

    bare = kreuzberg.ExtractionConfig(output_format="markdown", use_cache=False)
    makers: dict[str, tuple[str, Callable[[Known], bytes]]] = {
        "pdf_with_lines": ("a.pdf", lambda one: as_pdf(one, lines=True)),
        "pdf_without_lines": ("a.pdf", lambda one: as_pdf(one, lines=False)),
        "docx": ("a.docx", as_docx),
        "html": ("a.html", as_html),
    }
    figures: dict[str, Figure] = {"structure_documents_count": count}
    with Parser() as parser:
        for name, (file, make) in makers.items():
            ours, theirs = Recovered(), Recovered()
            for seed in range(count):
                document = known(seed)
                data = make(document)
                found = parser.parse_bytes(data, id=file)
                ours.add(document, found.text, found.pages)
                if name.startswith("pdf"):
                    theirs.add(document, kreuzberg.extract_bytes_sync(data, "application/pdf", config=bare).content)
            figures |= ours.figures(name)
            if theirs.words_wanted:
                figures |= {key: value for key, value in theirs.figures(f"kreuzberg_{name}").items() if value is not None}
    return figures


def pairs() -> dict[str, Figure]:
    """The same for real documents: what their Markdown says is what their DOCX and PDF should."""
    import kreuzberg

    bare = kreuzberg.ExtractionConfig(output_format="markdown", use_cache=False)
    firm = data_folder("kb_rag_multi_corpus") / "datasets" / "Aventro Motors"
    ours = {"pdf": Recovered(), "docx": Recovered()}
    theirs = Recovered()
    count = 0
    with Parser() as parser:
        for path in sorted((firm / "md").glob("*.md")):
            text = path.read_text(encoding="utf-8")
            plain = re.sub(r"\]\([^)]*\)|<[^>]*>|:?-{3,}:?", " ", text)
            others = {kind: firm / kind / f"{path.stem}.{kind}" for kind in ours}
            if not all(other.exists() for other in others.values()):
                continue
            count += 1
            for kind, other in others.items():
                data = other.read_bytes()
                ours[kind].compare(headings_of(text), tables_of(text), plain, parser.parse_bytes(data, id=other.name).text)
                if kind == "pdf":
                    found = kreuzberg.extract_bytes_sync(data, "application/pdf", config=bare).content
                    theirs.compare(headings_of(text), tables_of(text), plain, found)
    figures: dict[str, Figure] = {"pairs_documents_count": count}
    for name, one in (("pairs_pdf", ours["pdf"]), ("pairs_docx", ours["docx"]), ("kreuzberg_pairs_pdf", theirs)):
        figures |= {key: value for key, value in one.figures(name).items() if value is not None}
    return figures


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
