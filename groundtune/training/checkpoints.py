"""Where an interrupted training continues: tensors in one safetensors file, never pickle. Knows no model and no data."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from groundtune.store.artefacts import whole
from groundtune.store.failures import disk_failure, engine_failure, full_disk

log = logging.getLogger(__name__)

FILE = "checkpoint.safetensors"

ROOMS = ("weights", "optimiser", "rng", "best")
"""Fields of a checkpoint that hold tensors; each tensor is stored as `room:name`."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state after `step` steps; everything else follows from the training's identity."""

    step: int
    losses: tuple[float, ...]
    """Loss of each step so far."""
    seconds: float
    weights: dict[str, torch.Tensor]
    optimiser: dict[str, torch.Tensor]
    """AdamW's moments by `parameter/moment`."""
    rng: dict[str, torch.Tensor]
    """Generator states by device: uint8 [n]."""
    curves: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Other figures so far, by name."""
    best: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """The weights of the best epoch so far, where one is looked for."""


def save_checkpoint(folder: Path, checkpoint: Checkpoint, *, identity: str) -> None:
    """Write it in one piece: a crash leaves the previous one or this one. Raises WorkspaceError."""
    tensors: dict[str, torch.Tensor] = {}
    for room in ROOMS:
        for name, tensor in getattr(checkpoint, room).items():
            tensors[f"{room}:{name}"] = tensor.detach().cpu().contiguous()
    about = {
        "step": checkpoint.step,
        "losses": checkpoint.losses,
        "seconds": checkpoint.seconds,
        "curves": dict(checkpoint.curves),
    }
    write_tensors(folder / FILE, tensors, metadata={"identity": identity, "about": json.dumps(about)})


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], *, metadata: dict[str, str]) -> None:
    """A safetensors file, whole or not at all, and without a copy in memory. Raises WorkspaceError when the disk is full."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as draft:
            save_file(tensors, draft, metadata=metadata)
    except OSError as error:
        raise disk_failure(error, path) from error
    except SafetensorError as error:
        raise engine_failure(error, path) or full_disk(path.parent) or error from error


def load_checkpoint(folder: Path, *, identity: str) -> Checkpoint | None:
    """The checkpoint of the training `identity`; None when there is none, or when it is damaged or another training's."""
    path = folder / FILE
    if not path.exists():
        return None
    rooms: dict[str, dict[str, torch.Tensor]] = {room: {} for room in ROOMS}
    try:
        with safe_open(path, framework="pt") as stored:
            metadata = stored.metadata() or {}
            if metadata.get("identity") != identity:
                log.warning("%s belongs to another training; starting anew", path)
                return None
            about = json.loads(metadata["about"])
            for key in stored.keys():  # noqa: SIM118 - a handle of safetensors, not a mapping
                room, name = key.split(":", 1)
                rooms[room][name] = stored.get_tensor(key)
        curves = {name: tuple(values) for name, values in about["curves"].items()}
        return Checkpoint(about["step"], tuple(about["losses"]), about["seconds"], **rooms, curves=curves)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        log.warning("%s is damaged (%s); starting anew", path, error)
        return None


def remove_checkpoint(folder: Path) -> None:
    (folder / FILE).unlink(missing_ok=True)


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """torch's generators by device: uint8 [n]."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def restore_random_state(state: Mapping[str, torch.Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
