"""Prompt templates: Markdown files beside this one, rendered strictly and hashed into every run. Knows no model and no data."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

from groundtune.errors import NotFound

_FOLDER = Path(__file__).parent / "templates"
_ENVIRONMENT = SandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt as it stands in its file."""

    name: str
    text: str
    digest: str
    """SHA-256 of the text, hex."""


def names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.md")))


@cache
def load(name: str) -> Template:
    """The template of that name. Raises NotFound with the nearest names."""
    path = _FOLDER / f"{name}.md"
    if name not in names():
        near = get_close_matches(name, names(), n=3) or list(names())
        raise NotFound("no such prompt template.", subject=name, remedy=f"Known ones are: {', '.join(near)}.")
    text = path.read_text(encoding="utf-8")
    return Template(name=name, text=text, digest=hashlib.sha256(text.encode()).hexdigest())


@cache
def _compiled(text: str) -> Any:
    return _ENVIRONMENT.from_string(text)


def render(name: str, **values: Any) -> str:
    """The template filled in, without blank space at its ends. A value that the template wants and does not get is an error."""
    return str(_compiled(load(name).text).render(**values)).strip()
