"""Checkpoints: what is saved comes back bit for bit; what is damaged or another's does not; nothing is ever pickled."""

from __future__ import annotations

import json
import logging
import re
import struct
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra `train`")

import groundtune.training  # noqa: E402
from groundtune.errors import WorkspaceError  # noqa: E402
from groundtune.store import artefacts  # noqa: E402
from groundtune.training.checkpoints import FILE, Checkpoint, load_checkpoint, remove_checkpoint, save_checkpoint  # noqa: E402


def checkpoint(step: int = 7) -> Checkpoint:
    generator = torch.Generator().manual_seed(step)
    return Checkpoint(
        step,
        losses=(2.5, 0.1 + 0.2, 1e-17),
        seconds=1.25,
        weights={"a.lora_A.weight": torch.randn(3, 4, generator=generator), "b:odd/name": torch.randn(2, generator=generator)},
        optimiser={
            "a.lora_A.weight/exp_avg": torch.randn(3, 4, generator=generator),
            "a.lora_A.weight/step": torch.tensor(7.0),
        },
        rng={"cpu": torch.get_rng_state()},
    )


def test_round_trip_is_exact(tmp_path: Path) -> None:
    saved = checkpoint()
    save_checkpoint(tmp_path, saved, identity="one")
    loaded = load_checkpoint(tmp_path, identity="one")
    assert loaded is not None
    assert (loaded.step, loaded.losses, loaded.seconds) == (saved.step, saved.losses, saved.seconds)
    for room in ("weights", "optimiser", "rng"):
        before, after = getattr(saved, room), getattr(loaded, room)
        assert before.keys() == after.keys()
        assert all(torch.equal(tensor, after[name]) and tensor.dtype == after[name].dtype for name, tensor in before.items())


def test_the_file_is_plain_safetensors(tmp_path: Path) -> None:
    """Read by the format's definition: eight bytes of length, a JSON header, raw numbers."""
    save_checkpoint(tmp_path, checkpoint(), identity="one")
    data = (tmp_path / FILE).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    assert header.pop("__metadata__")["identity"] == "one"
    assert max(entry["data_offsets"][1] for entry in header.values()) == len(data) - 8 - length


def test_no_pickle_in_this_room() -> None:
    for path in Path(groundtune.training.__file__).parent.glob("*.py"):
        assert not re.search(
            r"torch\.(load|save)\(|^\s*(import|from) pickle", path.read_text(encoding="utf-8"), re.MULTILINE
        ), path


def test_there_is_none(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path, identity="one") is None
    remove_checkpoint(tmp_path)


def test_another_training_starts_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_checkpoint(tmp_path, checkpoint(), identity="one")
    with caplog.at_level(logging.WARNING):
        assert load_checkpoint(tmp_path, identity="two") is None
    assert "belongs to another training" in caplog.text


@pytest.mark.parametrize("keep", [0, 5, 60, -1])
def test_a_damaged_file_starts_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture, keep: int) -> None:
    save_checkpoint(tmp_path, checkpoint(), identity="one")
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes()[:keep])
    with caplog.at_level(logging.WARNING):
        assert load_checkpoint(tmp_path, identity="one") is None
    assert "is damaged" in caplog.text


def test_a_pickle_under_its_name_is_refused(tmp_path: Path) -> None:
    torch.save({"step": 1}, tmp_path / FILE)
    assert load_checkpoint(tmp_path, identity="one") is None


def test_a_crash_while_writing_leaves_the_previous_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, checkpoint(1), identity="one")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(artefacts.os, "fsync", full)
    with pytest.raises(WorkspaceError, match="disk is full"):
        save_checkpoint(tmp_path, checkpoint(2), identity="one")
    monkeypatch.undo()
    loaded = load_checkpoint(tmp_path, identity="one")
    assert loaded is not None
    assert loaded.step == 1
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
