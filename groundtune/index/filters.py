"""Which documents a filter lets through, and which parts of a glob every match must hold. Knows no backend."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from groundtune.config import compile_glob
from groundtune.errors import UsageError
from groundtune.types import Filter

Accepts = Callable[[str, str, str, str, float], bool]
"""(document, title, format, source, modified) -> whether the filter lets it through."""

_WILD = re.compile(r"\*\*/?|[*?]|\[!?\]?[^\]]*\]")
_ASCII = re.compile(r"[\x20-\x7e]+")


def accepts(filter: Filter) -> Accepts:
    """The filter as a predicate. Raises UsageError for a glob that can match nothing and for what is no text."""
    try:
        "".join((*filter.paths, *filter.formats, *filter.sources, filter.title)).encode()
        globs = [compile_glob(glob) for glob in filter.paths]
    except ValueError as error:
        raise UsageError(f"{error}.", subject="filter", remedy="Write for example hr/** or **/*.md.") from error
    title = filter.title.lower()

    def accept(document: str, name: str, format: str, source: str, modified: float) -> bool:
        return (
            (not filter.formats or format in filter.formats)
            and (not filter.sources or source in filter.sources)
            and (filter.since is None or modified >= filter.since)
            and (filter.before is None or modified < filter.before)
            and title in name.lower()
            and (not globs or _any(globs, unicodedata.normalize("NFC", document)))
        )

    return accept


def literals(glob: str) -> tuple[str, tuple[str, ...]]:
    """(beginning, other pieces) that every id which the glob matches holds, as far as they are ASCII.

    Ids may be written in another Unicode form than the glob, so only ASCII can be looked for in them.
    """
    first, *others = _WILD.split(glob)
    beginning = _ASCII.match(first)
    rest = (first[beginning.end() :] if beginning else first, *others)
    pieces = [found[0] for piece in rest for found in _ASCII.finditer(piece)]
    return (beginning[0] if beginning else ""), tuple(pieces)


def _any(globs: list[re.Pattern[str]], document: str) -> bool:
    return any(glob.fullmatch(document) for glob in globs)
