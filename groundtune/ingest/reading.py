"""Source items to stored parses: only what changed is read, and each failure is named. Knows no chunk and no index."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from groundtune.errors import BadDocument, NotFound
from groundtune.ingest.converted import Options
from groundtune.ingest.ocr import data_folder
from groundtune.ingest.parse import LASTING, PARSE_VERSION, Limits, Parser, failure, metadata_of
from groundtune.interfaces import Progress
from groundtune.sources.files import FileItem
from groundtune.store import lineage
from groundtune.store.workspace import Workspace
from groundtune.types import Document

_SETTLED = 3.0  # seconds: a file that changed so shortly before it was read may have changed again within the clock's tick


@dataclass(frozen=True, slots=True)
class Read:
    """One document after reading: its row in the database, and whether it has text."""

    row: dict[str, Any]

    @property
    def ok(self) -> bool:
        return bool(self.row["status"] == "ok")


def limits_of(workspace: Workspace) -> Limits:
    """What `[ingest]` lets one document take."""
    settings = workspace.config.ingest
    return Limits(
        seconds=settings.seconds, memory=settings.memory_mb << 20, options=Options(languages=tuple(settings.languages))
    )


def read_all(
    workspace: Workspace,
    items: Sequence[FileItem],
    *,
    before: Mapping[str, Mapping[str, Any]],
    limits: Limits,
    progress: Progress,
) -> dict[str, Read]:
    """Every item with its row. `before` are the rows as they were; a file that is as it was is not even opened."""
    settings = _settings(limits)
    passwords = _shared_passwords(workspace)
    unchanged = _unchanged(workspace, items, before, settings)
    read = {}
    with Parser(limits) as parser:
        for done, item in enumerate(items, start=1):
            read[item.id] = unchanged.get(item.id) or _read(workspace, item, parser, settings, passwords)
            progress("parse", done, len(items))
    return read


def stored_document(workspace: Workspace, row: Mapping[str, Any]) -> Document:
    """The document of a row of the database, from its stored parse. Raises NotFound when the parse is gone or damaged."""
    parsed = workspace.artefacts.get_json(row["artefact"])
    return Document(
        id=row["id"],
        title=row["title"],
        text=parsed["text"],
        content_hash=row["content_hash"],
        format=parsed["format"],
        modified=row["modified"],
        metadata=parsed["metadata"],
        pages=tuple(parsed.get("pages", ())),
    )


def document_name(id: str) -> str:
    """What the lineage calls a document."""
    return f"document:{id}"


# --- inside -------------------------------------------------------------------------------------------------------------


def _settings(limits: Limits) -> dict[str, Any]:
    """All that a parse depends on besides the bytes. Passwords, seconds and memory only say whether there is one."""
    installed = [one for one in limits.options.languages if data_folder([one])]
    options = limits.options
    return {
        "limits": [limits.input, options.output, options.unpacked, options.nesting, options.parts],
        "languages": installed,
        "parsers": {name: version(name) for name in ("kreuzberg", "pypdfium2")},
    }


def _key(content: str, id: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """A file that moved or was renamed keeps its parse; its ending tells dialects of plain text apart."""
    return {"content": content, "suffix": PurePosixPath(id).suffix.lower(), **settings}


def _unchanged(
    workspace: Workspace, items: Sequence[FileItem], before: Mapping[str, Mapping[str, Any]], settings: Mapping[str, Any]
) -> dict[str, Read]:
    """Items whose file was not touched since its stored parse was made under the same settings."""
    same = {
        item.id: item
        for item in items
        if {"status": "ok", "modified": item.modified, "size": item.size}.items() <= before.get(item.id, {}).items()
    }
    keys = {id: _key(before[id]["content_hash"], id, settings) for id in same}
    found = workspace.stages.found("parse", version=PARSE_VERSION, keys=keys)
    return {
        id: Read({name: before[id][name] for name in _COLUMNS})
        for id, (artefact, made) in found.items()
        if artefact == before[id]["artefact"]
        and same[id].touched < made - _SETTLED
        and workspace.artefacts.path(artefact).exists()
    }


_COLUMNS = ("id", "title", "format", "content_hash", "modified", "size", "status", "reason", "artefact")


def _read(workspace: Workspace, item: FileItem, parser: Parser, settings: Mapping[str, Any], passwords: Sequence[str]) -> Read:
    row = dict.fromkeys(_COLUMNS, "") | {"id": item.id, "modified": item.modified, "size": item.size, "status": "failed"}
    try:
        data = _bytes(item, parser.limits)
        row["content_hash"] = hashlib.sha256(data).hexdigest()
        parsed = _parsed(workspace, item, data, parser, settings, passwords)
    except BadDocument as error:
        return Read(row | {"reason": f"{error.message} {error.remedy}"})
    if "reason" in parsed:
        return Read(row | {"reason": parsed["reason"]})
    artefact = workspace.artefacts.put_json(parsed)
    title = parsed["title"] or PurePosixPath(item.id).stem
    skipped = "; ".join(f"{part}: {reason}: {detail}" for part, reason, detail in parsed["metadata"].get("skipped", ()))
    return Read(row | {"title": title, "format": parsed["format"], "status": "ok", "artefact": artefact, "reason": skipped})


def _bytes(item: FileItem, limits: Limits) -> bytes:
    if item.size > limits.input:
        raise failure(item.id, "too large", f"{item.size:,} bytes; the limit is {limits.input:,}")
    try:
        return item.path.read_bytes()
    except OSError as error:
        raise failure(item.id, "unreadable", error.strerror or str(error)) from error


class _Unfinished(Exception):
    """A parse that more passwords may complete: it is used, but not stored as a stage."""

    def __init__(self, parsed: dict[str, Any]) -> None:
        super().__init__()
        self.parsed = parsed


def _parsed(
    workspace: Workspace,
    item: FileItem,
    data: bytes,
    parser: Parser,
    settings: Mapping[str, Any],
    passwords: Sequence[str],
) -> dict[str, Any]:
    """Title (empty where only the file's name would do), text, format, pages and metadata, or a reason that these bytes will
    always give; both are stored.

    Raises BadDocument for the reasons that another try may not give.
    """

    def make() -> dict[str, Any]:
        try:
            found = parser.read(data, id=item.id, passwords=(*_own_passwords(item), *passwords))
        except BadDocument as error:
            if error.reason not in LASTING:
                raise
            return {"reason": f"{error.message} {error.remedy}"}
        parsed = {
            "title": found.title,
            "text": found.text,
            "format": found.format,
            "pages": list(found.pages),
            "metadata": metadata_of(found),
        }
        if any(reason not in LASTING for _, reason, _ in found.skipped):
            raise _Unfinished(parsed)
        return parsed

    key = _key(hashlib.sha256(data).hexdigest(), item.id, settings)
    parent = document_name(item.id)
    try:
        parsed: dict[str, Any] = workspace.stages.run("parse", version=PARSE_VERSION, key=key, make=make, parents=[parent])
    except _Unfinished as unfinished:
        artefact = workspace.artefacts.put_json(unfinished.parsed)
        lineage.record(workspace.database, child=artefact, parents=[parent], relation="parse")
        return unfinished.parsed
    return parsed


def _own_passwords(item: FileItem) -> tuple[str, ...]:
    """Those in the file beside it. Raises BadDocument."""
    try:
        return _lines(item.passwords) if item.passwords.exists() else ()
    except (OSError, UnicodeDecodeError) as error:
        raise failure(item.id, "unreadable", f"the file of its passwords cannot be read ({error})") from error


def _shared_passwords(workspace: Workspace) -> tuple[str, ...]:
    """Those that `ingest.passwords` names. Raises NotFound."""
    name = workspace.config.ingest.passwords
    if name is None:
        return ()
    try:
        return _lines(workspace.root / name)
    except (OSError, UnicodeDecodeError) as error:
        raise NotFound(
            "the file of passwords cannot be read.",
            subject=str(workspace.root / name),
            remedy="Put it there, one password a line, or take ingest.passwords out of groundtune.toml.",
        ) from error


def _lines(path: Path) -> tuple[str, ...]:
    return tuple(line for line in path.read_text(encoding="utf-8").splitlines() if line)
