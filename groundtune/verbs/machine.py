"""models, doctor: what this machine and a workspace have and lack."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from groundtune.config import Config
from groundtune.errors import GroundtuneError
from groundtune.ingest.ocr import data_folder
from groundtune.models import ModelInfo, available
from groundtune.models.weights import cache
from groundtune.store.workspace import Workspace

_EXTRAS = {
    "openvino": ("openvino", "openvino_genai", "gguf"),
    "passwords": ("msoffcrypto",),
    "train": ("torch", "transformers", "peft"),
}

_FREE_BYTES = 2 * 2**30
"""Room for the converted weights of a small model and a few trainings."""


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    ok: bool
    detail: str
    remedy: str = ""
    """What to do, as an exact command where there is one; empty when all is well."""


def models() -> tuple[ModelInfo, ...]:
    """The models and embedders that can be named, whether each is ready on this machine and, if not, how to get it."""
    return available()


def doctor(root: Path | str | None = None) -> tuple[Finding, ...]:
    """Check the machine and, where `root` is given or is a workspace, the workspace. Loads no model."""
    findings = list(_machine())
    if root is not None:
        findings += _workspace(Path(root))
    return tuple(findings)


def _machine() -> Iterator[Finding]:
    version = platform.python_version()
    yield Finding("python", sys.version_info >= (3, 11), version, "Use Python 3.11 or newer.")
    yield Finding("cores", True, f"{os.cpu_count()} cores, {platform.machine()}")
    for extra, packages in _EXTRAS.items():
        missing = [package for package in packages if find_spec(package) is None]
        detail = f"lacks {', '.join(missing)}" if missing else "installed"
        yield Finding(f"extra {extra}", not missing, detail, f"pip install 'groundtune[{extra}]'" if missing else "")
    for model in available():
        if model.name.startswith("embedded:"):
            yield Finding(model.name, model.installed, "ready" if model.installed else "not installed", model.remedy)
    home = cache()
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    writable = os.access(place, os.W_OK)
    detail = f"{home}: {free / 2**30:.1f} GiB free" + ("" if writable else ", not writable")
    yield Finding(
        "weights cache", writable and free > _FREE_BYTES, detail, "Free some space or set GROUNDTUNE_CACHE to another folder."
    )


def _workspace(root: Path) -> Iterator[Finding]:
    try:
        workspace = Workspace.open(root)
    except GroundtuneError as error:
        yield Finding("workspace", False, error.message, error.remedy)
        return
    with workspace:
        yield Finding("workspace", True, str(workspace.root))
        config: Config = workspace.config
        if config.documents:
            there = workspace.documents.is_dir()
            yield Finding(
                "documents", there, str(workspace.documents), "Create the folder or set documents in groundtune.toml."
            )
        yield _scans(config.ingest.languages)
        there = workspace.questions.is_file()
        yield Finding("questions", there, str(workspace.questions), "Write the file or set questions in groundtune.toml.")


def _scans(languages: Sequence[str]) -> Finding:
    missing = [one for one in languages if data_folder([one]) is None]
    if not missing:
        return Finding("scans", True, f"read in {', '.join(languages)}" if languages else "not read: ingest.languages is empty")
    packages = " ".join(f"tesseract-ocr-{one}" for one in missing)
    remedy = f"Debian: apt-get install {packages}; elsewhere set TESSDATA_PREFIX to the folder of the data."
    return Finding("scans", False, f"not read: tesseract's data for {', '.join(missing)} is missing", remedy)
