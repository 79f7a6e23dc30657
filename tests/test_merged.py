"""The merged LoRA layer against PEFT's own: the same outputs and gradients."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra `train`")
pytest.importorskip("peft", reason="training needs the extra `train`")

from peft import LoraConfig, inject_adapter_in_model  # noqa: E402
from torch import nn  # noqa: E402

from groundtune.training.merged import MergedLinear  # noqa: E402

CONFIG = {"r": 3, "lora_alpha": 12, "target_modules": ["0"]}


def layers(*, bias: bool = True) -> tuple[nn.Module, nn.Module]:
    """(PEFT's layer, the merged one) with the same weight and the same factors, none of them nothing."""
    torch.manual_seed(0)
    plain, merged = (nn.Sequential(nn.Linear(7, 5, bias=bias)) for _ in range(2))
    merged.load_state_dict(plain.state_dict())
    config = LoraConfig(**CONFIG)
    config._register_custom_module({nn.Linear: MergedLinear})
    inject_adapter_in_model(LoraConfig(**CONFIG), plain)
    inject_adapter_in_model(config, merged)
    nn.init.normal_(plain[0].lora_B["default"].weight)
    merged.load_state_dict(plain.state_dict())
    return plain, merged


@pytest.mark.parametrize("bias", [True, False])
def test_outputs_and_gradients_are_those_of_peft(bias: bool) -> None:
    plain, merged = layers(bias=bias)
    assert type(merged[0]) is MergedLinear
    found = []
    for layer in (plain, merged):
        x = torch.linspace(-1, 1, 2 * 4 * 7).reshape(2, 4, 7).requires_grad_()
        y = layer(x)
        (y**2).sum().backward()
        found.append((y, x.grad, layer[0].lora_A["default"].weight.grad, layer[0].lora_B["default"].weight.grad))
    for ours, theirs in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_what_does_not_learn_is_answered_by_peft(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, merged = layers()
    monkeypatch.setattr("groundtune.training.merged._Merged.apply", None)
    x = torch.ones(1, 7)
    with torch.no_grad():
        assert torch.equal(merged(x), plain(x))


def test_without_the_adapter_the_layer_is_the_base() -> None:
    plain, merged = layers()
    merged[0].enable_adapters(enabled=False)
    x = torch.ones(1, 7)
    assert torch.allclose(merged(x), plain[0].base_layer(x))
