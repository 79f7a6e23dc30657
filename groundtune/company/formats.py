"""A document as the bytes of the format that its path names. Knows which writer; HTML and mail are written here."""

from __future__ import annotations

from datetime import date
from email.message import EmailMessage
from email.policy import SMTP
from html import escape

from groundtune.company.blocks import Block, read_blocks
from groundtune.company.office import docx_bytes, xlsx_bytes
from groundtune.company.pdf import pdf_bytes
from groundtune.company.render import Document
from groundtune.errors import DataError


def file_bytes(document: Document) -> bytes:
    """The same document gives the same bytes. Raises DataError for an ending that has no writer."""
    ending = document.path.rpartition(".")[2]
    blocks = list(read_blocks(document.text))
    if ending == "md":
        return document.text.encode()
    if ending == "html":
        return _html(blocks, title=document.title)
    if ending == "eml":
        return _mail(document, blocks)
    writers = {"docx": docx_bytes, "xlsx": xlsx_bytes, "pdf": pdf_bytes}
    if ending not in writers:
        raise DataError("nothing writes this format.", subject=document.path)
    return writers[ending](blocks, title=document.title)


def _html(blocks: list[Block], *, title: str) -> bytes:
    parts = [f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{escape(title)}</title></head>\n<body>']
    for kind, value in blocks:
        if kind == "items":
            parts.append("<ul>" + "".join(f"<li>{escape(item)}</li>" for item in value) + "</ul>")
        elif kind == "table":
            rows = [
                "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row)
                for tag, row in ((("th" if number == 0 else "td"), row) for number, row in enumerate(value))
            ]
            parts.append("<table>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>")
        else:
            tag = {"title": "h1", "heading": "h2", "text": "p"}[kind]
            parts.append(f"<{tag}>{escape(value)}</{tag}>")
    return "\n".join([*parts, "</body>\n</html>\n"]).encode()


def _mail(document: Document, blocks: list[Block]) -> bytes:
    """A plain mail; its title is the subject, its date noon of the document's day."""
    message = EmailMessage(policy=SMTP)
    for name, value in document.headers:
        message[name] = f"{value} <{'.'.join(value.lower().split())}@mail.example>"
    message["Subject"] = document.title
    message["Date"] = f"{date.fromisoformat(document.date):%a, %d %b %Y} 12:00:00 +0000"
    message["Message-ID"] = f"<{document.path.rpartition('/')[2]}@mail.example>"
    message.set_content("\n\n".join(value for kind, value in blocks if kind == "text") + "\n")
    return message.as_bytes()
