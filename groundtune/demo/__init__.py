"""A small firm, written by hand: what the reader probe learns from, and a workspace for tests. Knows files only.

`documents/` and `questions.jsonl` were written for Groundtune; DOCX and PDF files are made from `sources/` by `build.py`.
"""

from __future__ import annotations

import json
import re
import shutil
from importlib.resources import as_file, files
from pathlib import Path

from groundtune.errors import UsageError

PARTS = ("documents", "groundtune.toml", "questions.jsonl")
"""What a copy consists of."""


def copy_to(folder: Path | str, *, model: str | None = None) -> tuple[str, ...]:
    """Copy the small firm into a folder that is absent or empty; returns what was written, below `folder`, sorted.

    `model` (`provider:name`) takes the place of the one in its groundtune.toml.

    Raises UsageError, with nothing written, when the folder holds anything or is a file.
    """
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        what = "is not empty." if target.is_dir() else "is a file."
        raise UsageError(what, subject=str(target), remedy="Name a new or empty folder for the demo.")
    target.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        with as_file(files(__name__) / part) as source:
            if source.is_dir():
                shutil.copytree(source, target / part, copy_function=shutil.copyfile)
            else:
                shutil.copyfile(source, target / part)
    if model is not None:
        settings = target / "groundtune.toml"
        line = f"model = {json.dumps(model)}"
        settings.write_text(re.sub(r"^model = .*$", lambda _: line, settings.read_text("utf-8"), flags=re.MULTILINE), "utf-8")
    return tuple(sorted(path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()))
