"""Headings, tables, words and pages that come out of documents whose structure is known. Knows no limits and no bombs."""

from __future__ import annotations

import io
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.harness import Figure, data_folder
from groundtune.ingest.blocks import blocks
from groundtune.ingest.parse import Parser

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
