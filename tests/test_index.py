"""Every index backend against the same promises, and the SQLite one against what only it can break."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundtune.index.versions import BACKENDS, index_class
from groundtune.testing import DIMENSIONS, check_index


@pytest.mark.parametrize("backend", BACKENDS)
def test_conformance(backend: str, tmp_path: Path) -> None:
    check_index(lambda folder: index_class(backend)(folder, dimensions=DIMENSIONS), tmp_path)
