"""A Llama of two layers with seeded random weights: enough for every engine, small enough to make in a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from groundtune.models.weights import tokenizer_json

TEMPLATE = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nBe brief<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
WIDTH, HEADS, KEY_HEADS, INNER, LAYERS = 128, 4, 2, 192, 2


def byte_letters() -> list[str]:
    """GPT-2's printable stand-ins of the 256 bytes (Radford et al. 2019, encoder.py)."""
    kept = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in kept else chr(next(others)) for byte in range(256)]


def words() -> dict[str, Any]:
    """Tokenizer metadata as a GGUF file holds it."""
    merges = ["t h", "th e", "Ġ the", "Ġ Ġ", "i n", "a n", "an d"]
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *byte_letters(), *(merge.replace(" ", "") for merge in merges)]
    return {"pre": "smollm", "tokens": tokens, "token_type": [3] * 3 + [1] * (len(tokens) - 3), "merges": merges}


def state(*, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights by Hugging Face name; matrices float16, vectors float32."""
    random = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return (random.standard_normal((rows, columns)) * columns**-0.5 * 2).astype(np.float16)

    side = WIDTH // HEADS * KEY_HEADS
    made = {"model.embed_tokens.weight": matrix(len(words()["tokens"]), WIDTH), "model.norm.weight": np.ones(WIDTH, np.float32)}
    for number in range(LAYERS):
        layer = f"model.layers.{number}"
        made[f"{layer}.self_attn.q_proj.weight"] = matrix(WIDTH, WIDTH)
        made[f"{layer}.self_attn.k_proj.weight"] = matrix(side, WIDTH)
        made[f"{layer}.self_attn.v_proj.weight"] = matrix(side, WIDTH)
        made[f"{layer}.self_attn.o_proj.weight"] = matrix(WIDTH, WIDTH)
        made[f"{layer}.mlp.gate_proj.weight"] = matrix(INNER, WIDTH)
        made[f"{layer}.mlp.up_proj.weight"] = matrix(INNER, WIDTH)
        made[f"{layer}.mlp.down_proj.weight"] = matrix(WIDTH, INNER)
        made[f"{layer}.input_layernorm.weight"] = random.uniform(0.5, 1.5, WIDTH).astype(np.float32)
        made[f"{layer}.post_attention_layernorm.weight"] = random.uniform(0.5, 1.5, WIDTH).astype(np.float32)
    return made


def folder(home: Path, *, seed: int = 0) -> Path:
    """A Hugging Face folder of the model."""
    home.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "float16",
        "hidden_act": "silu",
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "max_position_embeddings": 256,
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "num_key_value_heads": KEY_HEADS,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        "tie_word_embeddings": True,
        "vocab_size": len(words()["tokens"]),
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
    }
    names = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>"}
    save_file(state(seed=seed), home / "model.safetensors", metadata={"format": "pt"})
    (home / "config.json").write_text(json.dumps(config))
    (home / "tokenizer.json").write_text(json.dumps(tokenizer_json(words())))
    settings = {**names, "tokenizer_class": "PreTrainedTokenizerFast"}
    (home / "tokenizer_config.json").write_text(json.dumps(settings))
    (home / "chat_template.jinja").write_text(TEMPLATE)
    return home


def adapter(home: Path, *, shapes: dict[str, tuple[int, int]] | None = None, strength: float = 0.2, seed: int = 1) -> Path:
    """A LoRA adapter of rank 4 in PEFT's files, over all linear layers of `shapes` (default: the tiny model's)."""
    random = np.random.default_rng(seed)
    shapes = shapes or {name: values.shape for name, values in state().items() if "proj" in name}
    tensors = {}
    for name, (rows, columns) in shapes.items():
        stem = f"base_model.model.{name.removesuffix('.weight')}"
        tensors[f"{stem}.lora_A.weight"] = random.standard_normal((4, columns)).astype(np.float32) * columns**-0.5
        tensors[f"{stem}.lora_B.weight"] = random.standard_normal((rows, 4)).astype(np.float32) * strength
    home.mkdir(parents=True, exist_ok=True)
    save_file(tensors, home / "adapter_model.safetensors")
    targets = sorted({name.split(".")[-2] for name in shapes})
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": 4,
        "lora_alpha": 8,
        "target_modules": targets,
    }
    (home / "adapter_config.json").write_text(json.dumps(settings))
    return home
