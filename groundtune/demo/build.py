"""Makes the demo's DOCX and PDF documents from `sources/`; knows file formats, and nothing of parsing or of questions.

Run by hand after a source changed: `python -m groundtune.demo.build`. Needs python-docx and fpdf2, which the product never
imports. The same source gives the same content: every date is fixed.
"""

from __future__ import annotations

import io
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import docx
import fpdf

from groundtune.company.blocks import read_blocks

HERE = Path(__file__).parent
SOURCES = HERE / "sources"
WRITTEN = datetime(2026, 4, 1, 8, 0, tzinfo=UTC)
"""The date inside every built file."""


def docx_bytes(text: str) -> bytes:
    """A Word file with the built-in heading, list and table styles."""
    document = docx.Document()
    for kind, value in read_blocks(text):
        if kind == "title":
            document.core_properties.title = value
            document.add_heading(value, 1)
        elif kind == "heading":
            document.add_heading(value, 2)
        elif kind == "text":
            document.add_paragraph(value)
        elif kind == "items":
            for item in value:
                document.add_paragraph(item, style="List Bullet")
        else:
            table = document.add_table(rows=0, cols=len(value[0]), style="Light Grid Accent 1")
            for row in value:
                for cell, content in zip(table.add_row().cells, row, strict=True):
                    cell.text = content
            document.add_paragraph()
    properties = document.core_properties
    properties.author = properties.last_modified_by = "Tarnbeck Instruments"
    properties.created = properties.modified = WRITTEN.replace(tzinfo=None)
    written = io.BytesIO()
    document.save(written)
    return _with_fixed_dates(written.getvalue())


def _with_fixed_dates(archive: bytes) -> bytes:
    """The same zip archive with every member dated `WRITTEN`."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(zipfile.ZipInfo(name, WRITTEN.timetuple()[:6]), old.read(name), zipfile.ZIP_DEFLATED)
    return result.getvalue()


def pdf_bytes(text: str) -> bytes:
    """An A4 PDF in Helvetica.

    The top margin is wide and table headers are not bold because text extractors take what stands near the upper edge for a
    running header, and a bold line for a heading.
    """
    pdf = fpdf.FPDF(format="A4")
    pdf.set_compression(False)  # small anyway, and the same bytes with every zlib
    pdf.set_creation_date(WRITTEN)
    pdf.set_author("Tarnbeck Instruments")
    pdf.set_margins(24, 30, 24)
    pdf.set_auto_page_break(True, margin=28)
    pdf.add_page()
    for kind, value in read_blocks(text):
        if kind in ("title", "heading"):
            _pdf_heading(pdf, value, size=20 if kind == "title" else 15)
            continue
        pdf.set_font("Helvetica", "", 11)
        if kind == "text":
            pdf.multi_cell(0, 5.4, value, align="L", new_x="LMARGIN", new_y="NEXT")
        elif kind == "items":
            for item in value:
                pdf.set_x(30)
                pdf.cell(6, 5.4, "-")
                pdf.multi_cell(0, 5.4, item, align="L", new_x="LMARGIN", new_y="NEXT")
                pdf.ln(1.5)
        else:
            with pdf.table(value, line_height=7, text_align="LEFT", headings_style=fpdf.FontFace(emphasis="")):
                pass  # the rows are drawn on leaving
        pdf.ln(3)
    return bytes(pdf.output())


def _pdf_heading(pdf: fpdf.FPDF, text: str, *, size: int) -> None:
    if pdf.will_page_break(size + 24):  # a heading stays with what follows it
        pdf.add_page()
    pdf.ln(6)
    pdf.set_font("Helvetica", "B", size)
    pdf.multi_cell(0, size / 2, text, align="L", new_x="LMARGIN", new_y="NEXT")
    pdf.ln(2)


def built() -> dict[str, bytes]:
    """Every built document by its path below `documents/`."""
    makers = {".docx": docx_bytes, ".pdf": pdf_bytes}
    files = {}
    for source in sorted(SOURCES.rglob("*.md")):
        target = source.relative_to(SOURCES).with_suffix("")  # "a.docx.md" -> "a.docx"
        files[target.as_posix()] = makers[target.suffix](source.read_text(encoding="utf-8"))
    return files


def main() -> None:
    for name, content in built().items():
        (HERE / "documents" / name).write_bytes(content)
        sys.stdout.write(f"{name}: {len(content)} bytes\n")


if __name__ == "__main__":
    main()
