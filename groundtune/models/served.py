"""Weights as OpenVINO serves them: f16 GGUF by our writer, then OpenVINO's own conversion of that file, kept in the cache.

OpenVINO loads its converted form in a third of the time, but rounds every constant to f16 when it writes it: norms and, worse,
the frequencies of the rotary position embedding, an error that grows with the position. `_restore` puts the exact ones back.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from groundtune.errors import ModelFailure, NotFound
from groundtune.models import adapter as adapters
from groundtune.models import gguf_file, weights
from groundtune.store.artefacts import age

FORMAT = 2
"""Raise when the cached files change their content."""

KEEP_TUNED = 8
"""Tuned weights kept ready to serve (270 MB each); older ones are made again from their adapter when needed."""


def served(home: Path, *, adapter: Path | None, properties: Mapping[str, Any]) -> Path:
    """A folder with openvino_model.xml and .bin for the weights of a model folder, tuned by `adapter`; made once."""
    tuned = adapters.digest(adapter)[:12] if adapter else "base"
    target = weights.cache() / "served" / f"{weights.digest(home)[:12]}-{tuned}-{FORMAT}"
    weights.once(target, lambda draft: _convert(draft, home, adapter, properties))
    os.utime(target)
    if adapter:
        forget_old(target.parent)
    return target


def forget_old(folder: Path) -> None:
    """Remove tuned weights beyond the newest KEEP_TUNED, unless they were used in the last ten minutes."""
    tuned = [path for path in folder.iterdir() if not path.name.startswith(".") and "-base-" not in path.name]
    ages = sorted(((age(path), path) for path in tuned), key=lambda pair: pair[0])
    for seconds, path in ages[KEEP_TUNED:]:
        if seconds > 600:
            shutil.rmtree(path, ignore_errors=True)


def forget(adapter: Path) -> None:
    """Remove what is kept ready to serve of the weights in `adapter`; nothing was, where they are not whole."""
    try:
        tuned = adapters.digest(adapter)[:12]
    except (NotFound, ModelFailure):
        return
    for path in (weights.cache() / "served").glob(f"*-{tuned}-*"):
        shutil.rmtree(path, ignore_errors=True)


def _convert(draft: Path, home: Path, adapter: Path | None, properties: Mapping[str, Any]) -> None:
    import openvino_genai
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        state = load_file(home / "model.safetensors")
    except SafetensorError as error:
        raise weights.damaged(home, error) from error
    if json.loads((home / "config.json").read_text(encoding="utf-8")).get("tie_word_embeddings"):
        state.pop("lm_head.weight", None)  # stored twice; the embedding is the one that tuning changes
    if adapter:
        state = adapters.merge(state, adapter, base=weights.digest(home))
    file = draft / "model.gguf"
    gguf_file.write(file, state=state, folder=home)
    try:
        # With this flag, loading a GGUF writes openvino_model.xml and .bin beside it.
        saving = {**properties, "enable_save_ov_model": True}
        openvino_genai.ContinuousBatchingPipeline(str(file), openvino_genai.SchedulerConfig(), "CPU", saving)
    except RuntimeError as error:
        raise ModelFailure(f"OpenVINO cannot convert the weights: {error}", subject=str(home)) from error
    file.unlink()
    if not (draft / "openvino_model.xml").exists():
        raise ModelFailure("OpenVINO wrote no model.", subject=str(home), remedy="Install the pinned openvino-genai.")
    _restore(draft, home, state)


def _restore(draft: Path, home: Path, state: Mapping[str, np.ndarray]) -> None:
    """Replace constants that were rounded to f16 by the exact values they came from."""
    import openvino

    config = json.loads((home / "config.json").read_text(encoding="utf-8"))
    size = config["hidden_size"] // config["num_attention_heads"]
    theta = np.float32(config["rope_parameters"]["rope_theta"])
    frequencies = (1 / theta ** (np.arange(0, size, 2, dtype=np.float32) / np.float32(size))).astype(np.float32)
    norms = [values for values in state.values() if values.ndim == 1 and (values != 1).any()]  # ones are left out of the graph
    by_rounded = {values.astype(np.float16).tobytes(): values for values in (frequencies, *norms)}
    model = openvino.Core().read_model(draft / "openvino_model.xml")
    restored = set()
    for node in model.get_ops():
        if node.get_type_name() != "Constant" or node.get_output_element_type(0) != openvino.Type.f16:
            continue
        rounded = node.data.tobytes() if node.data.size <= config["hidden_size"] else b""
        if rounded in by_rounded:
            values = openvino.opset13.constant(by_rounded[rounded].reshape(node.data.shape))
            for use in node.output(0).get_target_inputs():
                use.get_node().output(0).replace(values.output(0))  # the conversion to f32 behind it
            restored.add(rounded)
    if restored != by_rounded.keys():
        raise ModelFailure(
            "OpenVINO's conversion does not look as expected, so its rounding cannot be undone.",
            subject=str(home),
            remedy="Install the pinned openvino-genai.",
        )
    (draft / "exact").mkdir()
    openvino.save_model(model, draft / "exact" / "openvino_model.xml", compress_to_fp16=False)
    del model
    for file in list((draft / "exact").iterdir()):
        file.replace(draft / file.name)
    (draft / "exact").rmdir()
