from __future__ import annotations

import dataclasses
import errno
import json
import os
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundtune.errors import NotFound, WorkspaceError
from groundtune.store.artefacts import Artefacts, canonical_json

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1: SHA-256 of "abc"


def test_bytes_are_named_by_their_hash_and_come_back(tmp_path: Path) -> None:
    artefacts = Artefacts(tmp_path / "artefacts")
    assert artefacts.put_bytes(b"abc") == ABC
    assert artefacts.put_bytes(b"abc") == ABC
    assert artefacts.get_bytes(ABC) == b"abc"
    assert [path for path in artefacts.root.rglob("*") if path.is_file()] == [artefacts.path(ABC)]
    sha = artefacts.put_json({"b": (1, 2.5), "a": "ä\ud800"})
    assert artefacts.get_json(sha) == {"a": "ä\ud800", "b": [1, 2.5]}


def test_an_absent_artefact_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=ABC):
        Artefacts(tmp_path).get_bytes(ABC)


def test_a_damaged_artefact_is_never_returned_and_can_be_made_again(tmp_path: Path) -> None:
    artefacts = Artefacts(tmp_path)
    artefacts.put_bytes(b"abc")
    artefacts.path(ABC).write_bytes(b"abd")
    with pytest.raises(NotFound, match="damaged"):
        artefacts.get_bytes(ABC)
    artefacts.put_bytes(b"abc")
    assert artefacts.get_bytes(ABC) == b"abc"


@pytest.mark.parametrize(
    ("number", "said"), [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "cannot be written"), (errno.EIO, "cannot be used")]
)
def test_a_failing_disk_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    def fail(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    artefacts = Artefacts(tmp_path)
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(WorkspaceError, match=said):
        artefacts.put_bytes(b"abc")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "artefacts").write_text("")
    with pytest.raises(WorkspaceError, match="artefacts"):
        Artefacts(tmp_path / "artefacts").put_bytes(b"abc")


@dataclasses.dataclass(frozen=True)
class Value:
    b: frozenset[str]
    a: tuple[int, ...] = ()


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        ({"b": 1, "a": [True, None, 1.0, "é"]}, b'{"a":[true,null,1.0,"\\u00e9"],"b":1}'),
        (Value(frozenset({"y", "x"}), (1,)), b'{"a":[1],"b":["x","y"]}'),
        (MappingProxyType({"k": {2, 1}}), b'{"k":[1,2]}'),
    ],
)
def test_the_one_spelling(value: Any, spelled: bytes) -> None:
    assert canonical_json(value) == spelled


def test_what_json_cannot_say_is_refused() -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="JSON"):
            canonical_json(value)
    for other in (object(), Path("a"), b"bytes"):
        with pytest.raises(TypeError, match="no JSON form"):
            canonical_json({"a": other})


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(trees)
def test_json_comes_back_as_it_was_and_order_of_keys_is_nothing(tree: Any) -> None:
    assert json.loads(canonical_json(tree)) == tree
    if isinstance(tree, dict):
        assert canonical_json(dict(reversed(tree.items()))) == canonical_json(tree)
