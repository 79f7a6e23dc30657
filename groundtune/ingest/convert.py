"""Bytes to Markdown by what they are, containers within containers included. Knows which room reads which format."""

from __future__ import annotations

from functools import partial

from groundtune.ingest.containers import Budget, read_archive
from groundtune.ingest.converted import Converted, Options, Refused
from groundtune.ingest.detect import detect
from groundtune.ingest.layout import markdown
from groundtune.ingest.mail import read_mailbox, read_message
from groundtune.ingest.ocr import Reader
from groundtune.ingest.office import compound, container, read_office, unlocked
from groundtune.ingest.pdf import read_pdf


def convert(data: bytes, *, name: str, options: Options) -> Converted:
    """Markdown of a document. The name only tells dialects of plain text apart. Raises Refused."""
    return _convert(data, name, options, Budget(options.unpacked, options.parts), depth=0)


def _convert(data: bytes, name: str, options: Options, budget: Budget, *, depth: int) -> Converted:
    if not data:
        raise Refused("empty", "it has no bytes")
    found = detect(data, name=name)
    format = found.format
    if format == "zip":
        format = container(data, options=options)
    elif format == "ole":
        format = compound(data)
    if format in ("archive", "eml", "mbox") and depth >= options.nesting:
        raise Refused("too deep", f"it lies {depth} containers deep; the limit is {options.nesting}")
    inner = partial(_inner, options=options, budget=budget, depth=depth + 1)
    match format:
        case "md" | "text":
            return Converted(found.text or "", format)
        case "pdf":
            return read_pdf(data, options=options, reader=Reader(options.languages), budget=budget, inner=inner)
        case "image":
            text, pages = markdown([Reader(options.languages).page(data, found.mime)], outline={})
            return Converted(text, "image", pages=pages)
        case "protected":
            return _convert(unlocked(data, options=options), name, options, budget, depth=depth)
        case "archive" if found.format == "zip":
            return read_archive(data, options=options, budget=budget, inner=inner)
        case "eml":
            return read_message(data, budget=budget, inner=inner)
        case "mbox":
            return read_mailbox(data, budget=budget, inner=inner)
        case "placeholder":
            raise Refused("placeholder", "it is a Git LFS pointer to the file, not the file")
        case "archive":
            raise Refused("unsupported", "it is an archive of a kind that is not unpacked")
        case "unknown":
            raise Refused("unsupported", "its content is of no known kind")
        case _:
            plain = data if found.text is None else found.text.encode("utf-8", errors="replace")
            return read_office(plain, format)


def _inner(data: bytes, name: str, *, options: Options, budget: Budget, depth: int) -> Converted:
    return _convert(data, name, options, budget, depth=depth)
