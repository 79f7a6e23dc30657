"""From rules and sidecar files to the audience of each document. Knows paths and globs; knows no database and no caller."""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from groundtune.config import Access, AccessRule, Readers, compile_glob, load_readers
from groundtune.errors import ConfigError, NotFound
from groundtune.types import LOCAL, NOBODY, Audience

SIDECAR = ".access.toml"


@dataclass(frozen=True)
class Ruling:
    """Who may read a document, and why."""

    audience: Audience
    origin: str
    """`rule N` (1-based), `sidecar`, `single`, or `` when nothing applies and nobody may read."""
    problem: str = ""
    """What is wrong with the sidecar; nobody may read then."""


@dataclass(frozen=True)
class Policy:
    """The rules of `[access]`, in order.

    A glob is held against the whole document id, the path below the documents folder with forward slashes: `*` stays within a
    name, `**` spans folders (`groundtune.config.globs` has the table), upper and lower case differ, and the two ways of writing
    an accented letter are one. So `*.md` matches only at the top, `**/*.md` everywhere and `hr/**` all that is below `hr`. The
    first rule that matches applies, even where it lets nobody read. A sidecar file beats the rules. A document that nothing
    matches is readable by nobody.
    """

    rules: tuple[AccessRule, ...] = ()
    single: bool = False

    @classmethod
    def from_config(cls, access: Access) -> Policy:
        return cls(access.rules, access.single)

    def audience_for(self, document: str, path: Path | None = None) -> Audience:
        """Who may read the document with this id, whose file lies at `path` (None: there is no file, hence no sidecar)."""
        return self.ruling(document, path).audience

    def ruling(self, document: str, path: Path | None = None) -> Ruling:
        """As `audience_for`, with the reason. A sidecar that cannot be read or understood lets nobody read."""
        if self.single:
            return Ruling(Audience.of(LOCAL), "single")
        if path is not None:
            try:
                readers = _sidecar(path)
            except ConfigError as error:
                return Ruling(NOBODY, "sidecar", f"{error} Until then nobody may read {document}.")
            if readers is not None:
                return Ruling(_audience(readers), "sidecar")
        name = unicodedata.normalize("NFC", document)
        for number, (pattern, audience) in enumerate(self._compiled, start=1):
            if pattern.fullmatch(name):
                return Ruling(audience, f"rule {number}")
        return Ruling(NOBODY, "")

    @cached_property
    def _compiled(self) -> list[tuple[re.Pattern[str], Audience]]:
        return [(compile_glob(rule.match), _audience(rule)) for rule in self.rules]


def sidecar_of(path: Path) -> Path:
    """The file beside a document that says who may read it: `pay.md` -> `pay.md.access.toml`."""
    return path.with_name(path.name + SIDECAR)


def _sidecar(path: Path) -> Readers | None:
    """None when there is none. Raises ConfigError when there is one that cannot be used, a dangling link included."""
    sidecar = sidecar_of(path)
    try:
        return load_readers(sidecar)
    except NotFound:
        if os.path.islink(sidecar):  # noqa: PTH114 - Path.is_symlink raises where a name is too long
            raise ConfigError("points to a file that is not there.", subject=str(sidecar)) from None
        return None


def _audience(readers: Readers) -> Audience:
    return Audience(frozenset(frozenset(clause) for clause in readers.read), frozenset(readers.deny))
