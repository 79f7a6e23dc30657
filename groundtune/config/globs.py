"""Globs over document ids -> patterns. Knows no rule and no document.

| part    | matches                                                                         |
|---------|---------------------------------------------------------------------------------|
| `*`     | any characters within one name, also none; hidden names too                     |
| `?`     | one character of a name                                                         |
| `[a-z]` | one of these characters; `[!a-z]` one other than these; never a slash           |
| `**/`   | any number of folders, also none: `**/pay.md` matches `pay.md` and `a/b/pay.md` |
| `/**`   | everything below a folder: `hr/**` matches `hr/a.md` and `hr/x/b.md`, not `hr`  |
| `**`    | alone: every document                                                           |
"""

from __future__ import annotations

import re
import unicodedata


def compile_glob(glob: str) -> re.Pattern[str]:
    """A pattern for `fullmatch` against a whole id in Unicode's composed form (NFC); upper and lower case differ.

    Raises ValueError for a glob that looks right and would match nothing: a rule that silently does not apply lets a later,
    perhaps wider one apply.
    """
    if "\\" in glob:
        raise ValueError(f"{glob!r} holds a backslash; folders are separated by '/', and [*] matches a star itself")
    parts = unicodedata.normalize("NFC", glob).split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"{glob!r} can match no document id; ids look like 'hr/pay.md', a whole folder is 'hr/**'")
    pattern = ""
    for number, part in enumerate(parts, start=1):
        last = number == len(parts)
        if part == "**":
            pattern += ".+" if last else "(?:[^/]+/)*"
        elif "**" in part:
            raise ValueError(f"{glob!r}: '**' must stand alone between slashes, as in 'hr/**' or '**/*.md'")
        else:
            pattern += _name(part, glob) + ("" if last else "/")
    return re.compile(pattern, re.DOTALL)


_PIECE = re.compile(r"\[(?P<not>!?)(?P<set>\]?[^\]]+|\])\]|.", re.DOTALL)


def _name(part: str, glob: str) -> str:
    pattern = ""
    for piece in _PIECE.finditer(part):
        if piece[0] == "*":
            pattern += "[^/]*"
        elif piece[0] == "?":
            pattern += "[^/]"
        elif piece[0] == "[":
            raise ValueError(f"{glob!r}: '[' without characters and ']' after it; [[] matches the bracket itself")
        elif piece["set"]:
            pattern += _set(piece["set"], glob, negated=bool(piece["not"]))
        else:
            pattern += re.escape(piece[0])
    return pattern


def _set(characters: str, glob: str, *, negated: bool) -> str:
    inside = re.sub(r"[^\w-]", lambda found: re.escape(found[0]), characters)
    pattern = f"[^/{inside}]" if negated else f"[{inside}]"
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{glob!r}: [{characters}] is not a set of characters ({error.msg})") from error
    return pattern
