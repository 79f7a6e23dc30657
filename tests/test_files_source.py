"""Files source: ids, what is skipped, and folders that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundtune.errors import DataError, NotFound
from groundtune.sources.files import FilesSource


def ids(root: Path) -> list[str]:
    return [item.id for item in FilesSource(root).scan()]


def write(path: Path, text: str = "text") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_ids_are_posix_paths_below_the_folder_in_order(tmp_path: Path) -> None:
    for name in ("b.md", "a/z.md", "a/b/c d.txt", "ä.md"):
        write(tmp_path / name)
    assert ids(tmp_path) == ["a/b/c d.txt", "a/z.md", "b.md", "ä.md"]


def test_items_carry_size_and_time(tmp_path: Path) -> None:
    path = write(tmp_path / "a.md", "four")
    (item,) = FilesSource(tmp_path).scan()
    assert (item.path, item.size, item.modified) == (path, 4, path.stat().st_mtime)


def test_hidden_files_and_sidecars_are_no_documents(tmp_path: Path) -> None:
    for name in ("a.md", "a.md.access.toml", ".hidden.md", ".git/config", "sub/.DS_Store"):
        write(tmp_path / name)
    assert ids(tmp_path) == ["a.md"]


def test_links_are_followed_inside_the_folder_only(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside" / "secret.md")
    root = tmp_path / "documents"
    write(root / "real.md")
    write(root / ".state" / "hidden.md")
    (root / "inside.md").symlink_to(root / "real.md")
    (root / "leaves.md").symlink_to(outside)
    (root / "folder").symlink_to(outside.parent)
    (root / "dangling.md").symlink_to(root / "nothing.md")
    (root / "hidden.md").symlink_to(root / ".state" / "hidden.md")
    (root / "self.md").symlink_to(root / "self.md")
    (root / "sub").mkdir()
    (root / "sub" / "up").symlink_to(root)
    assert ids(root) == ["inside.md", "real.md"]


def test_a_folder_that_cannot_be_used_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="does not exist"):
        ids(tmp_path / "absent")
    with pytest.raises(DataError, match="is a file"):
        ids(write(tmp_path / "a.md"))
    empty = tmp_path / "empty"
    write(empty / ".keep")
    with pytest.raises(DataError, match="holds no documents"):
        ids(empty)
