"""What the documents say is what the code does: generated parts, examples, commands, links and words."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer.main

import groundtune
from groundtune.cli.main import COMMANDS, GROUPS, application, run

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MODULES = sorted((ROOT / "groundtune").rglob("*.py"))


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def test_generated_parts_are_up_to_date() -> None:
    done = subprocess.run([sys.executable, "scripts/docs.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_module_says_what_it_knows(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert text, "a file's docstring says what it knows and what it must not know"


@pytest.mark.parametrize("source", blocks("python"))
def test_python_examples_run(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As printed, but in an empty folder and with the fake model, which answers at once."""
    changed = source.replace('init("team", demo=True)', 'init("team", demo=True, model="fake:extract")')
    assert changed != source
    monkeypatch.chdir(tmp_path)
    exec(compile(changed, "README.md", "exec"), {})
    assert "documents" in capsys.readouterr().out


COMMAND_LINES = [
    line.split("#")[0].strip()
    for block in blocks("bash")
    for line in block.splitlines()
    if re.match(r"(\.venv/bin/)?groundtune ", line)
]


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_commands_in_the_readme_are_accepted(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The command exists and its help names every option; nothing runs."""
    words = shlex.split(line)[1:]
    assert words[0] in COMMANDS
    inner = words[1:2] if words[0] in GROUPS else []
    assert run([words[0], *inner, "--help"]) == 0
    known = capsys.readouterr().out
    for word in words[1:]:
        if word.startswith("-"):
            assert re.search(rf"(?<!\S){re.escape(word)}\b", known), f"{words[0]} has no option {word}"


def test_the_readme_shows_commands() -> None:
    assert len(COMMAND_LINES) >= 6
    assert blocks("python")


def test_every_command_and_option_has_help() -> None:
    found = dict(typer.main.get_command(application()).commands)
    for name in GROUPS:
        found |= {f"{name} {inner}": command for inner, command in found[name].commands.items()}
    for name, command in found.items():
        assert command.help, f"{name} has no help"
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{name}: {parameter.name} has no help"


def test_makefile_targets_in_the_documents_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    for page in PAGES:
        for target in re.findall(r"(?:`|^)make ([a-z]+)", page.read_text(encoding="utf-8"), flags=re.MULTILINE):
            assert target in targets, f"{page.name}: make {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in link:
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_words_of_the_glossary_exist() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    names = re.findall(r"\| `(groundtune\.[\w.]+)` \|", text)
    assert len(names) > 10
    for name in names:
        module, _, attribute = name.rpartition(".")
        assert hasattr(import_module(module), attribute), name


def test_exit_codes_in_the_readme_are_those_of_the_tree() -> None:
    from groundtune import errors

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, groundtune.GroundtuneError)]
    stated = {int(code) for code in re.findall(r"^\| (\d+) \|", README, flags=re.MULTILINE)}
    assert stated == {kind.exit_code for kind in kinds} | {0, 130}
