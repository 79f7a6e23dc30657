"""Archives, and documents that are made of several parts. Knows limits on parts; reads no part itself."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from groundtune.ingest.blocks import blocks
from groundtune.ingest.converted import Converted, Exceeded, Options, Refused

_LITTER = (".DS_Store", "Thumbs.db", "desktop.ini")

Inner = Callable[[bytes, str], Converted]
"""Reads a part from its bytes and its name."""


@dataclass
class Budget:
    """What is left for all the parts of one document, at all depths together."""

    bytes: int
    parts: int

    def spend(self, size: int) -> None:
        self.bytes -= size
        self.parts -= 1
        if self.bytes < 0:
            raise Exceeded("too large", "its parts unpack to more bytes than the limit")
        if self.parts < 0:
            raise Exceeded("too large", "it holds more parts than the limit")


def read_archive(data: bytes, *, options: Options, budget: Budget, inner: Inner) -> Converted:
    """A ZIP file: a section a file, headed by its path. Nothing is written to the disk. Raises Refused."""
    parts: list[tuple[str, Converted | Refused]] = []
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for member in archive.infolist():
            name = member.filename
            if not member.is_dir() and not name.startswith("__MACOSX/") and not name.endswith(_LITTER):
                parts.append((name, attempt(partial(_member, archive, member, options, budget), name, inner)))
    text, skipped = sections(parts)
    if not text:
        reasons = {reason for _, reason, _ in skipped}
        reason = reasons.pop() if len(reasons) == 1 else "empty"
        raise Refused(reason, f"none of its files gave text ({_told(skipped)})" if skipped else "it holds no files")
    return Converted(text, "zip", skipped=skipped)


def attempt(unpack: Callable[[], bytes], name: str, inner: Inner) -> Converted | Refused:
    """A part, or why it has no text."""
    try:
        return inner(unpack(), name)
    except Exceeded:
        raise
    except Refused as refused:
        return refused


def sections(parts: Sequence[tuple[str, Converted | Refused]]) -> tuple[str, tuple[tuple[str, str, str], ...]]:
    """Each part below a heading that names it, and what could not be read, also within the parts."""
    texts: list[str] = []
    skipped: list[tuple[str, str, str]] = []
    for name, part in parts:
        shown = " ".join(name.split()) or "unnamed"
        if isinstance(part, Refused):
            skipped.append((shown, part.reason, part.detail))
            continue
        skipped.extend((f"{shown}/{inside}", reason, detail) for inside, reason, detail in part.skipped)
        if part.text.strip():
            texts.append(f"# {shown}\n\n{lowered(part.text.strip())}")
        else:
            skipped.append((shown, "empty", "no text was found in it"))
    return "\n\n".join(texts), tuple(skipped)


def lowered(text: str) -> str:
    """Markdown with its headings one level deeper."""
    marks = [block.start for block in blocks(text) if 0 < block.level < 6 and text[block.start :].lstrip(" ").startswith("#")]
    pieces = [text[start:end] for start, end in zip([0, *marks], [*marks, len(text)], strict=True)]
    return "#".join(pieces)


def _told(skipped: Sequence[tuple[str, str, str]]) -> str:
    """The first parts that were not read, in few words."""
    shown = ", ".join(f"{name}: {reason}" for name, reason, _ in skipped[:3])
    return f"{shown} and {len(skipped) - 3} more" if len(skipped) > 3 else shown


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, options: Options, budget: Budget) -> bytes:
    locked = bool(member.flag_bits & 1)
    for password in options.passwords if locked else ("",):
        try:
            with archive.open(member, pwd=password.encode() or None) as packed:
                found = packed.read(min(member.file_size, budget.bytes) + 1)  # it may hold more than it says
        except NotImplementedError as error:
            raise Refused("unsupported", str(error)) from error
        except (RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            if locked:  # a wrong password
                continue
            raise Refused("damaged", str(error)) from error
        except (EOFError, OSError, ValueError) as error:
            raise Refused("damaged", str(error)) from error
        budget.spend(len(found))
        return found
    given = " and none of those given opens it" if options.passwords else ""
    raise Refused("encrypted", f"it asks for a password{given}")
