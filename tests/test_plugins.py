from __future__ import annotations

import sys
from pathlib import Path

import pytest

from groundtune.errors import NotFound, UsageError
from groundtune.plugins import load, providers

GROUP = "groundtune.test_seam"
SHIPPED = {"text": "string:Template", "broken": "groundtune_no_such_module:x"}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real installed package with two entry points, one of which needs something that is not there."""
    (tmp_path / "gt_plugin_one.py").write_text(
        "class Models:\n    @staticmethod\n    def load(name): return 'plugin ' + name\n"
    )
    (tmp_path / "gt_plugin_two.py").write_text("import groundtune_absent_dependency\n")
    info = tmp_path / "gt_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gt-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[{GROUP}]\nmine = gt_plugin_one:Models.load\ntext = gt_plugin_one:Models\nneedy = gt_plugin_two:x\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("installed")
def test_an_installed_package_brings_a_provider_that_is_imported_on_use() -> None:
    assert providers(GROUP, shipped=SHIPPED) == ["broken", "mine", "needy", "text"]
    assert "gt_plugin_one" not in sys.modules
    assert load("mine:x", group=GROUP)("x") == "plugin x"
    sys.modules.pop("gt_plugin_one")


@pytest.mark.usefixtures("installed")
def test_an_installed_package_cannot_take_the_place_of_a_shipped_provider() -> None:
    import string

    assert load("text:any", group=GROUP, shipped=SHIPPED) is string.Template


def test_a_module_can_be_named_directly() -> None:
    import os.path

    assert load("os.path:join", group=GROUP) is os.path.join


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("reference", "wanted"),
    [
        ("txet:x", "Did you mean text:x?"),
        ("zzzzzz:x", "Providers: broken, mine, needy, text."),
        ("broken:x", "there is no module 'groundtune_no_such_module'"),
        ("needy:x", "needs the package 'groundtune_absent_dependency'"),
        ("os.path:joyn", "os.path has no 'joyn'"),
        ("no.such.module:x", "there is no module 'no.such.module'"),
    ],
)
def test_what_is_not_there_is_named_with_what_is_near(reference: str, wanted: str) -> None:
    with pytest.raises(NotFound) as caught:
        load(reference, group=GROUP, shipped=SHIPPED)
    assert wanted in str(caught.value) and reference in str(caught.value)


@pytest.mark.parametrize("reference", ["", "text", ":x", "text:"])
def test_a_name_without_its_two_parts_is_refused(reference: str) -> None:
    with pytest.raises(UsageError, match=r"provider:name\. Providers: none\."):
        load(reference, group=GROUP)
