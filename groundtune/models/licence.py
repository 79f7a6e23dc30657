"""Under which licence a base model may be used, as its files say. Reads files; judges nothing and loads no weights."""

from __future__ import annotations

import json
import re
from pathlib import Path

from groundtune.errors import GroundtuneError
from groundtune.models.weights import folder

SHIPPED = {"smollm2": "Apache-2.0", "minilm": "Apache-2.0"}
"""Of the embedded models, as their publishers' model cards and SmolLM2's GGUF metadata (`general.license`) say."""

_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)


def licence_of(model: str) -> str:
    """The licence that the files of `provider:name` name, else `unknown: ` and where to look. Loads no weights."""
    provider, _, name = model.partition(":")
    if name in SHIPPED:
        return SHIPPED[name]
    if provider not in ("embedded", "hf"):
        return f"unknown: look at the terms of {model}"
    try:
        home = Path(name) if Path(name).is_dir() else folder(model)
    except GroundtuneError:
        return f"unknown: look at the page of {name}"
    return _in_card(home) or _in_config(home) or _in_file(home) or f"unknown: look at the page of {name}"


def _in_card(home: Path) -> str:
    """`license:` of the model card's front matter."""
    card = home / "README.md"
    matter = _FRONT_MATTER.match(card.read_text(encoding="utf-8", errors="replace")) if card.is_file() else None
    found = re.search(r"^license:\s*[\"']?([^\"'\n#]+)", matter[1], re.MULTILINE) if matter else None
    return found[1].strip() if found else ""


def _in_config(home: Path) -> str:
    try:
        said = json.loads((home / "config.json").read_text(encoding="utf-8")).get("license", "")
    except (OSError, ValueError, AttributeError):
        return ""
    return said if isinstance(said, str) else ""


def _in_file(home: Path) -> str:
    """The first words of a licence file."""
    for path in sorted(home.glob("LICEN[CS]E*")):
        lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        if lines:
            return f"{lines[0]} ({path.name})"
    return ""
