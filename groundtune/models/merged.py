"""Tuned weights as a model of their own: what is served, as arrays. Knows folders and formats of weights; no engine."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from groundtune.errors import MissingExtra
from groundtune.models import adapter as adapters
from groundtune.models import gguf_file
from groundtune.models.weights import damaged, digest, folder, torch_model

_READ_AS_THEY_ARE = {"F16", "F32"}
"""Number formats that numpy has, in safetensors' words."""


def merged_state(model: str, weights: Path) -> dict[str, np.ndarray]:
    """Weights by Hugging Face name with the tuned ones merged in: matrices float16, vectors float32, as they are served.

    A head that is tied to the embedding is left out. Raises as loading and merging do.
    """
    home = folder(model)
    tied = bool(json.loads((home / "config.json").read_text(encoding="utf-8")).get("tie_word_embeddings"))
    state = _plain(home, weights) if _is_plain(home) else _by_torch(model, weights)
    kept = {name: values for name, values in state.items() if not (tied and name == "lm_head.weight")}
    return {name: gguf_file.stored(values) for name, values in sorted(kept.items())}


def _is_plain(home: Path) -> bool:
    """Whether one file holds everything in a precision that numpy has."""
    file = home / "model.safetensors"
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    return {entry["dtype"] for name, entry in header.items() if name != "__metadata__"} <= _READ_AS_THEY_ARE


def _plain(home: Path, weights: Path) -> dict[str, np.ndarray]:
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError as error:
        raise MissingExtra("safetensors", extra="openvino", wanted_by="export") from error
    try:
        return adapters.merge(load_file(home / "model.safetensors"), weights, base=digest(home))
    except SafetensorError as error:
        raise damaged(home, error) from error


def _by_torch(model: str, weights: Path) -> dict[str, np.ndarray]:
    """Several files, or bfloat16: read and merged by transformers."""
    network, _ = torch_model(model, adapter=weights)
    return {name: values.detach().float().numpy() for name, values in network.state_dict().items()}
