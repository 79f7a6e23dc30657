"""`embedded:minilm`: all-MiniLM-L6-v2 as an OpenVINO graph built from its safetensors. Knows BERT; needs no torch.

Texts are computed one at a time, each at its own length and on one thread, side by side on all cores: a vector depends neither
on the texts beside it nor on the number of cores, nothing is padded, and it is as fast as batching (`benchmarks/engines.py`).
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from groundtune.errors import MissingExtra, ModelFailure
from groundtune.models import weights
from groundtune.models.telemetry import silence

WINDOW = 256
"""Tokens that the model was trained to read, [CLS] and [SEP] among them."""


class MiniLM:
    """float32 vectors of 384 dimensions: mean of the last layer's states, normalised (sentence-transformers' recipe)."""

    def __init__(self, name: str = "minilm") -> None:
        """Raises MissingExtra without openvino, NotFound without weights."""
        silence()
        try:
            import openvino
            from safetensors.numpy import load_file
        except ImportError as error:
            raise MissingExtra(error.name or "openvino", extra="openvino", wanted_by=f"embedded:{name}") from error
        self.name = f"embedded:{name}"
        home = weights.folder(name)
        config = json.loads((home / "config.json").read_text(encoding="utf-8"))
        if config["model_type"] != "bert" or config["hidden_act"] != "gelu":
            raise ModelFailure("only BERT encoders with GELU can be built.", subject=str(home))
        state = load_file(home / "model.safetensors")
        self.dimensions = int(config["hidden_size"])
        self._tokenizer = Tokenizer.from_file(str(home / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(WINDOW)
        self._counter = Tokenizer.from_file(str(home / "tokenizer.json"))
        self._counter.no_padding()
        self._counter.no_truncation()
        self._lock = threading.Lock()
        self.max_tokens = WINDOW - self._tokenizer.num_special_tokens_to_add(False)
        cores = os.cpu_count() or 1
        settings = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": cores, "INFERENCE_NUM_THREADS": cores}
        compiled = openvino.Core().compile_model(_graph(state, config), "CPU", settings)
        self._queue = openvino.AsyncInferQueue(compiled, cores)
        identity = [weights.digest(home), openvino.__version__, str(WINDOW), "f32"]
        self.fingerprint = hashlib.sha256("\n".join(identity).encode()).hexdigest()

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.zeros((len(texts), self.dimensions), dtype=np.float32)

        def keep(request: Any, place: int) -> None:
            rows[place] = request.get_output_tensor(0).data[0]

        encodings = self._tokenizer.encode_batch(list(texts))
        with self._lock:
            self._queue.set_callback(keep)
            # The longest first, so that no core is left alone with a long text at the end.
            for place in sorted(range(len(texts)), key=lambda place: -len(encodings[place].ids)):
                self._queue.start_async({0: np.array([encodings[place].ids], dtype=np.int64)}, place)
            self._queue.wait_all()
        return rows

    def count_tokens(self, text: str) -> int:
        """[CLS] and [SEP] not counted."""
        return len(self._counter.encode(text, add_special_tokens=False).ids)


def _graph(state: Mapping[str, np.ndarray], config: Mapping[str, Any]) -> Any:
    """ids int64 [1, tokens] -> float32 [1, hidden]: BERT (Devlin et al. 2019), mean pooling, length 1. One text, no padding."""
    import openvino
    from openvino import opset13 as ops

    width, heads = config["hidden_size"], config["num_attention_heads"]
    epsilon = float(config["layer_norm_eps"])

    def constant(name: str) -> Any:
        return ops.constant(state[name].astype(np.float32))

    def dense(x: Any, name: str) -> Any:
        return ops.add(ops.matmul(x, constant(f"{name}.weight"), False, True), constant(f"{name}.bias"))

    def norm(x: Any, name: str) -> Any:
        centred = ops.mvn(x, ops.constant(np.array([-1])), True, epsilon, "inside_sqrt")
        return ops.add(ops.multiply(centred, constant(f"{name}.weight")), constant(f"{name}.bias"))

    def split_heads(x: Any) -> Any:
        parts = ops.reshape(x, ops.constant(np.array([1, -1, heads, width // heads])), False)
        return ops.transpose(parts, ops.constant(np.array([0, 2, 1, 3])))

    def attention(x: Any, name: str) -> Any:
        query, key, value = (split_heads(dense(x, f"{name}.self.{part}")) for part in ("query", "key", "value"))
        mixed = ops.transpose(ops.scaled_dot_product_attention(query, key, value), ops.constant(np.array([0, 2, 1, 3])))
        joined = ops.reshape(mixed, ops.constant(np.array([1, -1, width])), False)
        return norm(ops.add(x, dense(joined, f"{name}.output.dense")), f"{name}.output.LayerNorm")

    def layer(x: Any, name: str) -> Any:
        x = attention(x, f"{name}.attention")
        inner = ops.gelu(dense(x, f"{name}.intermediate.dense"), "erf")
        return norm(ops.add(x, dense(inner, f"{name}.output.dense")), f"{name}.output.LayerNorm")

    ids = ops.parameter([1, -1], np.int64, name="ids")
    zero = ops.constant(np.int64(0))
    count = ops.squeeze(ops.slice(ops.shape_of(ids), _axis(1), _axis(2), _axis(1)), _axis(0))
    places = ops.range(zero, count, ops.constant(np.int64(1)), "i64")
    words = ops.gather(constant("embeddings.word_embeddings.weight"), ids, zero)
    positions = ops.gather(constant("embeddings.position_embeddings.weight"), places, zero)
    kind = ops.constant(state["embeddings.token_type_embeddings.weight"][:1].astype(np.float32))
    x = norm(ops.add(ops.add(words, positions), kind), "embeddings.LayerNorm")
    for number in range(config["num_hidden_layers"]):
        x = layer(x, f"encoder.layer.{number}")
    pooled = ops.reduce_mean(x, ops.constant(np.array([1])), False)
    return openvino.Model([ops.normalize_l2(pooled, ops.constant(np.array([1])), 1e-12, "max")], [ids], "minilm")


def _axis(number: int) -> Any:
    from openvino import opset13 as ops

    return ops.constant(np.array([number], dtype=np.int64))
