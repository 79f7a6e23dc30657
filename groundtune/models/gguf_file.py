"""Reads a quantised Llama GGUF into plain arrays and writes f16 GGUF. Knows no model name, no engine and no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from groundtune.errors import MissingExtra, ModelFailure

TO_HF = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
TO_GGUF = {name: short for short, name in TO_HF.items()}

CONTROL = 3
"""GGUF's token type of control tokens; 1 is a normal one."""


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any], dict[str, Any]]:
    """(weights by Hugging Face name, config.json, tokenizer metadata) of a Llama GGUF file.

    Matrices come as float16 [rows, columns], dequantised once; vectors (norms) as float32. Float16 is chosen over bfloat16
    because it is nearer to the dequantised values (11 against 8 bits of mantissa). Raises ModelFailure for other architectures.
    """
    gguf = _package()
    reader = gguf.GGUFReader(str(path))

    def field(name: str, default: Any = None) -> Any:
        return reader.fields[name].contents() if name in reader.fields else default

    if field("general.architecture") != "llama" or field("tokenizer.ggml.model") != "gpt2":
        raise ModelFailure("only Llama models with a byte-level BPE tokenizer can be read from GGUF.", subject=str(path))
    heads, key_heads = field("llama.attention.head_count"), field("llama.attention.head_count_kv")
    state: dict[str, np.ndarray] = {}
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(tuple(int(n) for n in reversed(tensor.shape)))
        short = tensor.name.removesuffix(".weight").split(".")[-1]
        if short in ("attn_q", "attn_k"):
            values = _unpermute(values, heads if short == "attn_q" else key_heads)
        state[_hf_name(tensor.name)] = stored(values)
    rope = {"rope_type": "default", "rope_theta": float(field("llama.rope.freq_base", 10000.0))}
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "float16",
        "hidden_act": "silu",
        "hidden_size": field("llama.embedding_length"),
        "intermediate_size": field("llama.feed_forward_length"),
        "max_position_embeddings": field("llama.context_length"),
        "num_attention_heads": heads,
        "num_hidden_layers": field("llama.block_count"),
        "num_key_value_heads": key_heads,
        "rms_norm_eps": float(field("llama.attention.layer_norm_rms_epsilon")),
        "rope_parameters": rope,
        "rope_theta": rope["rope_theta"],
        "tie_word_embeddings": "lm_head.weight" not in state,
        "vocab_size": len(field("tokenizer.ggml.tokens")),
        "bos_token_id": field("tokenizer.ggml.bos_token_id"),
        "eos_token_id": field("tokenizer.ggml.eos_token_id"),
        "pad_token_id": field("tokenizer.ggml.padding_token_id"),
    }
    prefix = "tokenizer.ggml."
    words = {key.removeprefix(prefix): field(key) for key in reader.fields if key.startswith(prefix)}
    return state, config, {**words, "chat_template": field("tokenizer.chat_template", "")}


def write(
    path: Path, *, state: Mapping[str, np.ndarray], folder: Path, title: str = "", chat_template: str = "", licence: str = ""
) -> None:
    """Write f16 weights with the configuration and tokenizer of a Hugging Face `folder`: the only writer of served weights.

    Engines other than ours read `chat_template` and how words are cut, so `refuse_unlike` comes first where the file leaves.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    heads, key_heads = config["num_attention_heads"], config["num_key_value_heads"]
    gguf = _package()
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name(title or folder.name)
    if licence:
        writer.add_license(licence)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(key_heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(_rope(config).get("rope_theta", 10000.0))
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_vocab_size(config["vocab_size"])
    words = {number: word for word, number in tokenizer["model"]["vocab"].items()}
    special = {token["id"]: token["content"] for token in tokenizer["added_tokens"] if token["special"]}
    words |= special
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list([words[number] for number in range(config["vocab_size"])])
    writer.add_token_types([CONTROL if number in special else 1 for number in range(config["vocab_size"])])
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    if config.get("pad_token_id") is not None:
        writer.add_pad_token_id(config["pad_token_id"])
    writer.add_add_bos_token(False)
    if chat_template:
        writer.add_chat_template(chat_template)
    for name, values in state.items():
        short = _gguf_name(name)
        if short.endswith(("attn_q.weight", "attn_k.weight")):
            values = _permute(values, heads if short.endswith("attn_q.weight") else key_heads)
        writer.add_tensor(short, np.ascontiguousarray(stored(values)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def refuse_unlike(folder: Path) -> None:
    """Raises ModelFailure for a model that this writer would get wrong: another architecture, rotation, shape or tokenizer."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    heads, steps = config["num_attention_heads"], tokenizer.get("pre_tokenizer") or {}
    faults = {
        f"its architecture is {config.get('model_type')!r}": config.get("model_type") != "llama",
        "its layers have biases": bool(config.get("attention_bias") or config.get("mlp_bias")),
        "its rotary positions are scaled": _rope(config).get("rope_type", "default") != "default",
        "its heads have a size of their own": config.get("head_dim") not in (None, config["hidden_size"] // heads),
        "its tokenizer is not byte-level BPE": tokenizer["model"]["type"] != "BPE" or tokenizer["model"].get("byte_fallback"),
        "its tokenizer cuts words in a way that is not known": [one["type"] for one in steps.get("pretokenizers", ())] != _CUTS,
    }
    if fault := next((what for what, holds in faults.items() if holds), ""):
        raise ModelFailure(
            f"it cannot be written as GGUF: {fault}.",
            subject=str(folder),
            remedy="Export it merged, and convert that folder with llama.cpp's convert_hf_to_gguf.py.",
        )


_CUTS = ["Digits", "ByteLevel"]
"""Steps of the pre-tokenizer that GGUF calls `smollm`: every digit by itself, then as GPT-2 does."""


def _rope(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Rotary settings; transformers before 5 kept them in two keys."""
    older = {**(config.get("rope_scaling") or {}), "rope_theta": config.get("rope_theta", 10000.0)}
    found: Mapping[str, Any] = config.get("rope_parameters") or older
    return found


def _package() -> Any:
    try:
        import gguf
    except ImportError as error:
        raise MissingExtra("gguf", extra="openvino", wanted_by="embedded models") from error
    return gguf


def stored(values: np.ndarray) -> np.ndarray:
    """Matrices as float16, vectors as float32: what both the folder and the served file hold."""
    with np.errstate(over="ignore"):  # told below
        kept = values.astype(np.float16 if values.ndim > 1 else np.float32)
    if not np.isfinite(kept).all():
        raise ModelFailure("the weights do not fit into float16; they would be served as infinities.")
    return kept


def _hf_name(name: str) -> str:
    """`blk.3.attn_q.weight` -> `model.layers.3.self_attn.q_proj.weight`."""
    *block, short, kind = name.split(".")
    if short not in TO_HF:
        raise ModelFailure(f"unknown tensor {name!r} in the GGUF file.")
    return f"model.layers.{block[1]}.{TO_HF[short]}.{kind}" if block else f"{TO_HF[short]}.{kind}"


def _gguf_name(name: str) -> str:
    """The inverse of `_hf_name`."""
    stem, _, kind = name.rpartition(".")
    if stem.startswith("model.layers."):
        number, _, rest = stem.removeprefix("model.layers.").partition(".")
        return f"blk.{number}.{TO_GGUF[rest]}.{kind}"
    return f"{TO_GGUF[stem]}.{kind}"


def _permute(values: np.ndarray, heads: int) -> np.ndarray:
    """Rows of q and k from Hugging Face's rotary order (halves) to GGUF's (pairs), as llama.cpp's converter does."""
    return values.reshape(heads, 2, values.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(values.shape)


def _unpermute(values: np.ndarray, heads: int) -> np.ndarray:
    return values.reshape(heads, values.shape[0] // heads // 2, 2, -1).swapaxes(1, 2).reshape(values.shape)
