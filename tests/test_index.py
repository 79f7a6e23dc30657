"""Every index backend against the same promises, and the SQLite one against what only it can break."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from groundtune.errors import MissingExtra, UsageError, WorkspaceError
from groundtune.index import versions
from groundtune.index.analysis import words_of
from groundtune.index.filters import accepts, literals
from groundtune.index.sqlite import SqliteIndex
from groundtune.index.versions import BACKENDS, IndexVersions, index_class
from groundtune.installation import install_command
from groundtune.store.database import Database
from groundtune.testing import DIMENSIONS, check_index, index_entries
from groundtune.types import Entry, Filter

EVERYONE = frozenset(range(1, 6))


@pytest.mark.parametrize("backend", BACKENDS)
def test_conformance(backend: str, tmp_path: Path) -> None:
    check_index(lambda folder: index_class(backend)(folder, dimensions=DIMENSIONS), tmp_path)


def by_document(entries: list[Entry]) -> dict[str, list[Entry]]:
    documents: dict[str, list[Entry]] = {}
    for entry in entries:
        documents.setdefault(entry.chunk.document, []).append(entry)
    return documents


def vectors(folder: Path) -> list[Path]:
    return sorted(folder.glob("vectors-*"))


def test_the_file_of_vectors_is_written_anew_once_half_of_it_is_waste(tmp_path: Path) -> None:
    entries = index_entries(60)
    index, reader = (SqliteIndex(tmp_path, dimensions=DIMENSIONS) for _ in range(2))
    index.replace(by_document(entries))
    before = reader.search("zebra", entries[9].vector, audiences=EVERYONE, k=8)
    for _ in range(2):
        index.replace(by_document(entries))
        index.settle()
    (file,) = vectors(tmp_path)
    assert file.stat().st_size == 60 * DIMENSIONS * 4
    assert file.name == "vectors-000002.f32"
    assert reader.search("zebra", entries[9].vector, audiences=EVERYONE, k=8) == before
    index.replace({name: [] for name in by_document(entries)})
    index.settle()
    assert vectors(tmp_path)[0].stat().st_size == 0
    assert reader.search("zebra", entries[9].vector, audiences=EVERYONE, k=8) == []


def test_what_a_writer_left_before_its_commit_is_written_over(tmp_path: Path) -> None:
    entries = index_entries(12)
    index = SqliteIndex(tmp_path, dimensions=DIMENSIONS)
    index.replace(by_document(entries[:6]))
    (file,) = vectors(tmp_path)
    with file.open("ab") as opened:
        opened.write(b"\xff" * 777)
    with pytest.raises(ZeroDivisionError), index._writing() as connection:
        connection.execute("DELETE FROM chunks")
        _ = 1 / 0
    assert index.count() == 6
    index.replace(by_document(entries[6:]))
    assert file.stat().st_size == 12 * DIMENSIONS * 4
    index.verify()
    for entry in entries:
        (found,) = index.search("", entry.vector, audiences=frozenset({entry.audience}), k=1)
        assert found.chunk == entry.chunk


@pytest.mark.parametrize("harm", ["cut vectors", "no vectors", "torn database"])
def test_damage_is_found_and_said(tmp_path: Path, harm: str) -> None:
    database = Database.at(tmp_path / "groundtune.db")
    known = IndexVersions(tmp_path / "index", database=database)
    number, index = known.prepare({"backend": "sqlite", "dimensions": DIMENSIONS})
    index.replace(by_document(index_entries(60)))
    known.switch(number)
    folder = tmp_path / "index" / f"{number:06}"
    if harm == "cut vectors":
        vectors(folder)[0].write_bytes(b"\x00" * 64)
    elif harm == "no vectors":
        vectors(folder)[0].unlink()
    else:
        for file in folder.glob("chunks.db*"):
            file.write_bytes(b"not a database" * 100)
    with pytest.raises(WorkspaceError, match="groundtune sync"):
        known.open(number, verify=True)
    assert known.prepare({"backend": "sqlite", "dimensions": DIMENSIONS})[0] == number + 1
    database.close()


def test_what_does_not_fit_is_an_error(tmp_path: Path) -> None:
    SqliteIndex(tmp_path, dimensions=DIMENSIONS)
    with pytest.raises(WorkspaceError, match="holds vectors of 8"):
        SqliteIndex(tmp_path, dimensions=9)


def test_a_twin_has_the_same_score_wherever_it_stands(tmp_path: Path) -> None:
    """A product of matrices may sum rows in other orders by where they stand; ranks must not depend on that."""
    random = np.random.default_rng(0)
    index = SqliteIndex(tmp_path, dimensions=384)
    rows = random.normal(size=(1_001, 384)).astype(np.float32)
    rows[::7] = rows[0]
    base = index_entries(1_001)
    entries = [replace(one, vector=row / np.linalg.norm(row)) for one, row in zip(base, rows, strict=True)]
    index.replace(by_document(entries))
    for audiences in (EVERYONE, frozenset({2})):
        found = index.search("", entries[0].vector, audiences=audiences, k=400)
        ranked = sorted(found, key=lambda row: row.ranks["vector"])
        twins = [row for row in ranked if row.scores["vector"] > 0.999]
        assert len(twins) == sum(one.audience in audiences for one in entries[::7])
        assert len({row.scores["vector"] for row in twins}) == 1
        assert [row.chunk.id for row in twins] == sorted(row.chunk.id for row in twins)


def test_words_are_those_of_lancedb(tmp_path: Path) -> None:
    lancedb = pytest.importorskip("lancedb")
    from groundtune.index.lance import _FULL_TEXT

    table = lancedb.connect(str(tmp_path)).create_table("words", [{"text": "x"}])
    table.create_index("text", config=_FULL_TEXT)
    latin = [
        chr(number) for number in (*range(0xA0, 0x250), *range(0x1E00, 0x1F00), *range(0x2150, 0x2190), *range(0xFF10, 0xFF5B))
    ]
    text = f"""The employees were running a café, naïvely: Ünïcode, straße! it's 3.14% x² ½ ﬁne snake_case e-mail C++ .NET
    user@example.com 日本語 テスト Ελλάδα Привет Ⅳ don't can’t relational national happiness generously skies dying universities
    probate ties news innings proceed (quoted) [brackets] {{braces}} --dashes-- 007 A1B2 İstanbul {"y" * 39} {"z" * 40}
    {" ".join(f"qq{letter}zz" for letter in latin if letter.isalnum())} {"é" * 20}"""
    assert words_of(text) == [token.text for token in table.tokenize(text, column="text")]
    assert words_of("the were a ()*: \"' AND OR NOT") == []


@pytest.mark.parametrize(
    ("glob", "beginning", "pieces"),
    [
        ("hr/**", "hr/", ()),
        ("**/*.md", "", (".md",)),
        ("hr/*/pay-[0-9].md", "hr/", ("/pay-", ".md")),
        ("ä/b*", "", ("/b",)),
        ("a/ö/c?", "a/", ("/c",)),
        ("[!]x]*y", "", ("y",)),
        ("**", "", ()),
    ],
)
def test_the_literal_part_of_a_glob_stands_in_every_match(glob: str, beginning: str, pieces: tuple[str, ...]) -> None:
    assert literals(glob) == (beginning, pieces)


def test_a_filter_that_is_no_filter_is_refused() -> None:
    for filter in (Filter(paths=("a//b",)), Filter(title="\ud800"), Filter(paths=("[",))):
        with pytest.raises(UsageError):
            accepts(filter)


def test_the_light_install_needs_no_lancedb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
import sys, types
sys.modules["lancedb"] = sys.modules["pyarrow"] = None  # as if they were not installed
from pathlib import Path
import groundtune
root = Path(sys.argv[1])
(root / "documents").mkdir()
(root / "documents" / "a.md").write_text("# Kettle\\n\\nThe kettle is red.")
access = '[access]\\nrules = [{match = "**", read = ["everyone"]}]\\n'
models = 'model = "fake:extract"\\nembedder = "fake:hash"\\n'
(root / "groundtune.toml").write_text(models + access + '[index]\\nbackend = "sqlite"\\n')
groundtune.sync(root)
print(groundtune.search("kettle", root=root)[0].chunk.document)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stdout == "a.md\n", done.stderr
    monkeypatch.setattr(versions, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=re.escape(install_command("lance"))):
        index_class("lance")
