"""Serves embedded models with OpenVINO GenAI: f16 weights, f32 arithmetic. Knows token ids, never strings.

Settings were chosen by equality with transformers on the same weights, then by speed (`benchmarks/engines.py`): OpenVINO's own
default, an 8-bit key-value cache, changes answers and saves no time on a CPU.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from groundtune.errors import MissingExtra, ModelFailure, UsageError
from groundtune.interfaces import LanguageModel
from groundtune.models import adapter as adapters
from groundtune.models import gguf_file, weights
from groundtune.models.hf import HfModel
from groundtune.models.telemetry import silence
from groundtune.models.window import check_window, window
from groundtune.prompting.chat import ChatTokenizer
from groundtune.types import Generation, Message, Usage

PROPERTIES: dict[str, Any] = {
    "INFERENCE_PRECISION_HINT": "f32",
    "KV_CACHE_PRECISION": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
}

MAX_BATCHED_TOKENS = 4096
"""Prompt tokens computed at once; OpenVINO's default of 256 took 15 % more processor time."""

FORMAT = 1
"""Raise when the files below `served` change their content."""

KEEP_TUNED = 8
"""Tuned weights kept ready to serve (270 MB each); older ones are made again from their adapter when needed."""


def load(name: str, *, adapter: Path | None = None) -> LanguageModel:
    """An embedded model, on OpenVINO where it is installed, else on transformers (slower, same weights)."""
    if find_spec("openvino_genai") is None and find_spec("torch") is not None:
        return HfModel(name, adapter=adapter, provider="embedded")
    return OpenVinoModel(name, adapter=adapter)


class OpenVinoModel:
    """A Llama model on the CPU. Base and tuned weights go through the same f16 writer and the same conversion."""

    local = True

    def __init__(self, name: str, *, adapter: Path | None = None) -> None:
        """`name` is an embedded model or a model folder. Raises MissingExtra, NotFound, ModelFailure."""
        silence()
        try:
            import openvino
            import openvino_genai
        except ImportError as error:
            raise MissingExtra(error.name or "openvino", extra="openvino", wanted_by=f"embedded:{name}") from error
        self._openvino, self._genai = openvino, openvino_genai
        self.name = f"embedded:{name}"
        home = weights.folder(name)
        self._tokenizer = ChatTokenizer.from_folder(home)
        self._window = window(home)
        tuned = adapters.digest(adapter) if adapter else ""
        identity = [weights.digest(home), tuned, self._tokenizer.fingerprint, openvino_genai.__version__]
        settings = [str(PROPERTIES), str(MAX_BATCHED_TOKENS), str(FORMAT)]
        self.fingerprint = hashlib.sha256("\n".join(identity + settings).encode()).hexdigest()
        self._pipeline = self._load(_served(home, adapter, f"{identity[0][:12]}-{tuned[:12] or 'base'}-{FORMAT}"))
        self._lock = threading.Lock()

    def generate(self, conversations: Sequence[Sequence[Message]], *, max_new_tokens: int) -> list[Generation]:
        if max_new_tokens < 1:
            raise UsageError(f"max_new_tokens is {max_new_tokens}; an answer needs at least one token.", subject=self.name)
        prompts = [self._tokenizer.render_ids(conversation) for conversation in conversations]
        for prompt in prompts:
            check_window(prompt, max_new_tokens=max_new_tokens, window=self._window, model=self.name)
        if not prompts:
            return []
        config = self._genai.GenerationConfig(
            max_new_tokens=max_new_tokens,
            do_sample=False,
            stop_token_ids=set(self._tokenizer.stop_ids),
            eos_token_id=self._tokenizer.stop_ids[0],
            apply_chat_template=False,
        )
        tensors = [self._openvino.Tensor(np.array([prompt], dtype=np.int64)) for prompt in prompts]
        try:
            with self._lock:
                results = self._pipeline.generate(tensors, [config] * len(tensors))
        except RuntimeError as error:
            raise ModelFailure(f"OpenVINO could not answer: {error}", subject=self.name) from error
        return [self._generation(prompt, result) for prompt, result in zip(prompts, results, strict=True)]

    def count_tokens(self, text: str) -> int:
        return self._tokenizer.count(text)

    def _generation(self, prompt: list[int], result: Any) -> Generation:
        ids = list(result.m_generation_ids[0])
        stopped = result.finish_reasons[0] == self._genai.GenerationFinishReason.STOP
        return Generation(
            text=self._tokenizer.decode(ids).strip(),
            usage=Usage(input_tokens=len(prompt), output_tokens=len(ids)),
            finish="stop" if stopped else "length",
        )

    def _load(self, served: Path) -> Any:
        scheduler = self._genai.SchedulerConfig()
        scheduler.max_num_batched_tokens = MAX_BATCHED_TOKENS
        try:
            return self._genai.ContinuousBatchingPipeline(str(served), scheduler, "CPU", PROPERTIES)
        except RuntimeError as error:
            raise ModelFailure(
                f"OpenVINO cannot load the converted weights: {error}",
                subject=str(served),
                remedy="Delete this folder; it is made again on the next use.",
            ) from error


def _served(home: Path, adapter: Path | None, key: str) -> Path:
    """OpenVINO's form of the weights, made once: f16 GGUF by our writer, then OpenVINO's own conversion of that file."""
    served = weights.cache() / "served" / key

    def make(draft: Path) -> None:
        import openvino_genai
        from safetensors.numpy import load_file

        state = load_file(home / "model.safetensors")
        file = draft / "model.gguf"
        gguf_file.write(file, state=adapters.merge(state, adapter) if adapter else state, folder=home)
        try:
            # Loading a GGUF with this flag writes openvino_model.xml and .bin beside it, which load in a third of the time.
            openvino_genai.ContinuousBatchingPipeline(
                str(file), openvino_genai.SchedulerConfig(), "CPU", {**PROPERTIES, "enable_save_ov_model": True}
            )
        except RuntimeError as error:
            raise ModelFailure(f"OpenVINO cannot convert the weights: {error}", subject=str(home)) from error
        file.unlink()
        if not (draft / "openvino_model.xml").exists():
            raise ModelFailure("OpenVINO wrote no model.", subject=str(home), remedy="Install the pinned openvino-genai.")

    weights.once(served, make)
    os.utime(served)
    if adapter:
        _forget_old(served.parent)
    return served


def _forget_old(served: Path) -> None:
    """Remove tuned weights beyond the newest KEEP_TUNED, unless they were used within the last hour."""
    tuned = [path for path in served.iterdir() if not path.name.startswith(".") and "-base-" not in path.name]
    for path in sorted(tuned, key=lambda path: path.stat().st_mtime)[:-KEEP_TUNED]:
        if path.stat().st_mtime < time.time() - 3600:
            shutil.rmtree(path, ignore_errors=True)
