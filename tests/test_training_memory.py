"""The peak of a training's memory is that of the training, not of what the process did before."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra `train`")

from groundtune.training import memory  # noqa: E402

CPU = torch.device("cpu")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep one peak for the life of a process")
def test_the_peak_begins_anew() -> None:
    with _held(400_000_000):
        before = memory.peak_memory(CPU)
    memory.forget_peak(CPU)
    after = memory.peak_memory(CPU)
    assert before - after > 300e6
    with _held(200_000_000):
        assert 150e6 < memory.peak_memory(CPU) - after < 300e6


@contextmanager
def _held(size: int) -> Iterator[None]:
    """Memory that goes back at the end, whatever the process's allocator keeps."""
    with mmap.mmap(-1, size) as pages:
        for start in range(0, size, mmap.PAGESIZE):
            pages[start] = 1
        yield


def test_without_these_files_it_is_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_PROCESS", tmp_path / "nowhere")
    memory.forget_peak(CPU)
    assert memory.peak_memory(CPU) > 1e7
