"""Serves embedded models with OpenVINO GenAI: f16 weights, f32 arithmetic. Knows token ids, never strings.

Settings were chosen by equality with transformers on the same weights, then by speed (`benchmarks/engines.py`): OpenVINO's own
default, an 8-bit key-value cache, changes answers and saves no time on a CPU.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np

from groundtune.errors import MissingExtra, ModelFailure, UsageError
from groundtune.interfaces import LanguageModel, Pieces
from groundtune.models import adapter as adapters
from groundtune.models import weights
from groundtune.models.hf import HfModel
from groundtune.models.served import FORMAT, served
from groundtune.models.telemetry import silence
from groundtune.models.window import check_window, window
from groundtune.prompting.chat import ChatTokenizer
from groundtune.types import Generation, Message, Usage

log = getLogger(__name__)

PROPERTIES: dict[str, Any] = {
    "INFERENCE_PRECISION_HINT": "f32",
    "KV_CACHE_PRECISION": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
}

_HALF = "\N{REPLACEMENT CHARACTER}"
"""What a letter decodes to of which some bytes are still missing."""

MAX_BATCHED_TOKENS = 4096
"""Prompt tokens computed at once; OpenVINO's default of 256 took 15 % more processor time."""


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
        self._limit = window(home)
        self.window: int | None = self._limit
        tuned = adapters.digest(adapter) if adapter else ""
        identity = [weights.digest(home), tuned, self._tokenizer.fingerprint, openvino_genai.__version__]
        settings = [str(PROPERTIES), str(MAX_BATCHED_TOKENS), str(FORMAT)]
        self.fingerprint = hashlib.sha256("\n".join(identity + settings).encode()).hexdigest()
        place = served(home, adapter=adapter, properties=PROPERTIES)
        try:
            self._pipeline = self._load(place)
        except ModelFailure as error:
            log.warning("%s; it is made anew", error)
            shutil.rmtree(place, ignore_errors=True)
            self._pipeline = self._load(served(home, adapter=adapter, properties=PROPERTIES))
        self._lock = threading.Lock()

    def generate(self, conversations: Sequence[Sequence[Message]], *, max_new_tokens: int) -> list[Generation]:
        prompts = [self._prompt(conversation, max_new_tokens) for conversation in conversations]
        if not prompts:
            return []
        config = self._config(max_new_tokens)
        tensors = [self._openvino.Tensor(np.array([prompt], dtype=np.int64)) for prompt in prompts]
        try:
            with self._lock:
                results = self._pipeline.generate(tensors, [config] * len(tensors))
        except RuntimeError as error:
            raise ModelFailure(f"OpenVINO could not answer: {error}", subject=self.name) from error
        return [self._generation(prompt, result) for prompt, result in zip(prompts, results, strict=True)]

    def stream(self, conversation: Sequence[Message], *, max_new_tokens: int) -> Pieces:
        """Pieces as they are decoded; other requests wait until it ends or is closed."""
        prompt = self._prompt(conversation, max_new_tokens)
        tensor = self._openvino.Tensor(np.array([prompt], dtype=np.int64))
        ids: list[int] = []
        shown, stopped = "", False
        with self._lock:
            handle = self._pipeline.add_request(0, tensor, self._config(max_new_tokens))
            try:
                while self._pipeline.has_non_finished_requests():
                    self._pipeline.step()
                    for output in handle.read().values() if handle.can_read() else ():
                        ids += output.generated_ids
                        stopped = output.finish_reason == self._genai.GenerationFinishReason.STOP
                    text = self._tokenizer.decode(ids).lstrip()
                    if len(text) > len(shown) and not text.endswith(_HALF):
                        yield text[len(shown) :]
                        shown = text
            except RuntimeError as error:
                raise ModelFailure(f"OpenVINO could not answer: {error}", subject=self.name) from error
            finally:
                if self._pipeline.has_non_finished_requests():  # nobody reads on
                    handle.cancel()
                    while self._pipeline.has_non_finished_requests():
                        self._pipeline.step()
        text = self._tokenizer.decode(ids).lstrip()
        if len(text) > len(shown):
            yield text[len(shown) :]
        usage = Usage(input_tokens=len(prompt), output_tokens=len(ids))
        return Generation(text.strip(), usage, "stop" if stopped else "length")

    def count_tokens(self, text: str) -> int:
        return self._tokenizer.count(text)

    def _prompt(self, conversation: Sequence[Message], max_new_tokens: int) -> list[int]:
        if max_new_tokens < 1:
            raise UsageError(f"max_new_tokens is {max_new_tokens}; an answer needs at least one token.", subject=self.name)
        prompt = self._tokenizer.render_ids(conversation)
        check_window(prompt, max_new_tokens=max_new_tokens, window=self._limit, model=self.name)
        return prompt

    def _config(self, max_new_tokens: int) -> Any:
        return self._genai.GenerationConfig(
            max_new_tokens=max_new_tokens,
            do_sample=False,
            stop_token_ids=set(self._tokenizer.stop_ids),
            eos_token_id=self._tokenizer.stop_ids[0],
            apply_chat_template=False,
        )

    def _generation(self, prompt: list[int], result: Any) -> Generation:
        ids = list(result.m_generation_ids[0])
        stopped = result.finish_reasons[0] == self._genai.GenerationFinishReason.STOP
        return Generation(
            text=self._tokenizer.decode(ids).strip(),
            usage=Usage(input_tokens=len(prompt), output_tokens=len(ids)),
            finish="stop" if stopped else "length",
        )

    def _load(self, folder: Path) -> Any:
        scheduler = self._genai.SchedulerConfig()
        scheduler.max_num_batched_tokens = MAX_BATCHED_TOKENS
        try:
            return self._genai.ContinuousBatchingPipeline(str(folder), scheduler, "CPU", PROPERTIES)
        except RuntimeError as error:
            raise ModelFailure(
                f"OpenVINO cannot load the converted weights: {error}",
                subject=str(folder),
                remedy="Delete this folder; it is made again on the next use.",
            ) from error
