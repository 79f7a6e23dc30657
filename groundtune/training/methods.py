"""What learns: small factors beside every linear layer, the top blocks, or everything. Knows parameters; no data, no steps."""

from __future__ import annotations

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn
from transformers import PreTrainedModel

from groundtune.errors import UsageError
from groundtune.training.merged import MergedLinear
from groundtune.types import Tuning


def lora_config(tuning: Tuning, *, base: str) -> LoraConfig:
    """LoRA on every linear layer but the head. `base` names the model in the file that PEFT reads."""
    return LoraConfig(
        r=tuning.rank,
        lora_alpha=tuning.alpha,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
        base_model_name_or_path=base,
        inference_mode=True,
    )


def prepare(
    network: PreTrainedModel, tuning: Tuning, device: torch.device, *, frozen: torch.dtype, base: str = ""
) -> dict[str, nn.Parameter]:
    """Choose what learns, in float32, and freeze the rest, in `frozen`, the precision that the device is fast in.

    Returns what learns: fresh factors under the names that PEFT's file format gives them, or the model's own parameters under
    theirs. A head that is tied to the embedding is one parameter with it. Buffers keep their precision: rounded to bfloat16,
    the frequencies of the rotary embedding would shift every position.
    """
    nn.Module.to(network, device=device)
    if tuning.method == "lora":
        config = lora_config(tuning, base=base)
        if frozen == torch.float32:
            config._register_custom_module({nn.Linear: MergedLinear})  # the name in PEFT's own manual
        inject_adapter_in_model(config, network)
        chosen = {name for name, _ in network.named_parameters() if "lora_" in name}
    else:
        chosen = own_parameters(network, tuning)
    learned = {}
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in chosen)
        parameter.data = parameter.data.to(torch.float32 if name in chosen else frozen)
        if name in chosen:
            peft_name = f"base_model.model.{name.replace('.default.', '.')}"
            learned[peft_name if tuning.method == "lora" else name] = parameter
    return learned


def own_parameters(network: PreTrainedModel, tuning: Tuning) -> set[str]:
    """full: every parameter. partial: those of the top blocks and of the norm after them."""
    names = [name for name, _ in network.named_parameters()]
    if tuning.method == "full":
        return set(names)
    layers = int(network.config.num_hidden_layers)
    if tuning.top_layers > layers:
        raise UsageError(f"the model has {layers} layers.", subject=f"tuning.top_layers = {tuning.top_layers}")
    top = [f".layers.{number}." for number in range(layers - tuning.top_layers, layers)]
    return {name for name in names if any(part in name for part in top) or name.endswith("model.norm.weight")}
