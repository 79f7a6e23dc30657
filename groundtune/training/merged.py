"""LoRA with one product where PEFT has three: the factors change the weight, not the output. Knows torch only."""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora import Linear
from torch import nn


class _Merged(torch.autograd.Function):
    """y = x (W + scale B A)^T + bias, with gradients for x, A and B; W and the bias are frozen.

    W + scale B A takes rank / tokens of the time of the product with x, so it is made anew for the gradient and not kept.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        down: torch.Tensor,
        up: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        ctx.save_for_backward(x, weight, down, up)
        ctx.scale = scale
        return nn.functional.linear(x, torch.addmm(weight, up, down, alpha=scale), bias)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,) = gradients
        x, weight, down, up = ctx.saved_tensors
        given = gradient @ torch.addmm(weight, up, down, alpha=ctx.scale) if ctx.needs_input_grad[0] else None
        rows, seen = gradient.reshape(-1, gradient.shape[-1]), x.reshape(-1, x.shape[-1])
        for_down = ctx.scale * ((rows @ up).T @ seen)
        for_up = ctx.scale * (rows.T @ (seen @ down.T))
        return given, None, None, for_down, for_up, None


class MergedLinear(Linear):
    """PEFT's LoRA layer that merges while it learns in float32; in bfloat16 the factors' small changes would round away."""

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        weight = self.base_layer.weight
        if not torch.is_grad_enabled() or self.disable_adapters or self.merged or weight.dtype != torch.float32:
            found: torch.Tensor = super().forward(x, *args, **kwargs)
            return found
        (name,) = self.active_adapters
        down, up = self.lora_A[name].weight, self.lora_B[name].weight
        merged: torch.Tensor = _Merged.apply(  # type: ignore[no-untyped-call]
            x, weight, self.base_layer.bias, down, up, self.scaling[name]
        )
        return merged
