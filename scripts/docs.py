"""Writes what the documents repeat from the code: docs/cli.md from the help, the tree in README.md from the docstrings.

With --check nothing is written; the exit code is 1 when something is out of date.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from pathlib import Path

os.environ["COLUMNS"] = "80"  # the help wraps at the width of the terminal


from groundtune.cli.main import COMMANDS, GROUPS, application

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "groundtune"
BEGIN, END = "<!-- tree: written by make docs -->", "<!-- end of tree -->"
TYPED = "py.typed"
WIDTH = 26


def cli_page() -> str:
    """Markdown with the help of the program and of every command."""
    from typer.testing import CliRunner

    parts = ["# Command line\n\nWritten by `make docs` from the help; a test keeps it true.\n"]
    inner = {name: [(name, *inside) for inside in ((), *((one,) for one in GROUPS.get(name, ())))] for name in COMMANDS}
    for words in ((), *(words for name in COMMANDS for words in inner[name])):
        result = CliRunner().invoke(application(), [*words, "--help"], prog_name="groundtune")
        heading = " ".join(("groundtune", *words))
        parts.append(f"## {heading}\n\n```text\n{result.stdout.strip()}\n```\n")
    return "\n".join(parts)


def about(path: Path) -> str:
    """What a module is: the first sentence of its docstring."""
    text = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split())
    return re.split(r"(?<=[.;])\s", text, maxsplit=1)[0].rstrip(".;")


def tree(folder: Path = PACKAGE, *, depth: int = 0) -> list[str]:
    """One line a module, modules before folders; a folder of other files takes one line with their number."""
    inner = folder / "__init__.py"
    others = [path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    if not inner.exists():
        kinds = ", ".join(sorted({path.suffix for path in others}))
        return [_row(f"{folder.name}/", depth, f"{len(others)} files ({kinds})")] if others else []
    lines = [_row(f"{folder.name}/", depth, about(inner))]
    for path in sorted(folder.glob("*.py")):
        if path != inner:
            lines.append(_row(path.name, depth + 1, about(path)))
    if (folder / TYPED).exists():
        lines.append(_row(TYPED, depth + 1, "Says that the package carries its types (PEP 561)"))
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name != "__pycache__":
            lines += tree(path, depth=depth + 1)
    return lines


def _row(name: str, depth: int, text: str) -> str:
    return f"{'  ' * depth + name:<{WIDTH}} {text}".rstrip()


def readme_page() -> str:
    """README.md with the tree put in its place."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n```text\n{chr(10).join(tree())}\n```\n{END}{after}"


def main() -> int:
    pages = {ROOT / "docs" / "cli.md": cli_page(), ROOT / "README.md": readme_page()}
    stale = [path for path, text in pages.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if "--check" in sys.argv:
            print(f"{path.relative_to(ROOT)} is out of date: run make docs", file=sys.stderr)
        else:
            path.write_text(pages[path], encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
