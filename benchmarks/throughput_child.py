"""One short training by one trainer, in a process of its own so that its peak memory is its own. Prints one line of JSON.

    python -m benchmarks.throughput_child groundtune ROWS.json
    python -m benchmarks.throughput_child trl ROWS.json

Both get the same token ids and the same settings: LoRA on every linear layer, the same rank, batch, rate, order of lengths and
number of steps, in the precision that this machine is fast in. TRL runs as fast as it can be set: no checkpointing of
activations, rows of like length together, loss on answers only, fused optimiser, nothing logged or saved, data prepared before.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.scale_rows import peak_mb
from groundtune.models.weights import torch_model
from groundtune.training.encode import EncodedPair
from groundtune.training.loop import batch_loss, fit, native_bfloat16
from groundtune.training.methods import lora_config
from groundtune.types import Tuning

MODEL = "embedded:smollm2"
SEED = 0


def groundtune(network: Any, rows: Sequence[EncodedPair], tuning: Tuning, folder: Path) -> float:
    """Seconds of the steps."""
    return fit(network, rows, tuning, seed=SEED, folder=folder, identity="throughput").seconds


def trl(network: Any, rows: Sequence[EncodedPair], tuning: Tuning, folder: Path) -> float:
    import transformers
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    transformers.utils.logging.set_verbosity_error()
    columns = [{"input_ids": list(row.ids), "labels": list(row.labels), "length": len(row.ids)} for row in rows]
    settings = SFTConfig(
        output_dir=str(folder),
        per_device_train_batch_size=tuning.batch_size,
        num_train_epochs=tuning.epochs,
        learning_rate=tuning.learning_rate or 1e-3,
        lr_scheduler_type="linear",
        warmup_steps=0.1,
        max_grad_norm=1.0,
        weight_decay=0.0,
        optim="adamw_torch_fused",
        bf16=native_bfloat16(torch.device("cpu")),
        gradient_checkpointing=False,
        train_sampling_strategy="group_by_length",
        completion_only_loss=True,
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        seed=SEED,
        use_cpu=not torch.cuda.is_available(),
    )
    lora = lora_config(tuning, base=MODEL)
    lora.inference_mode = False  # ours says how a file is read; here the factors learn
    tokenizer = transformers.AutoTokenizer.from_pretrained(network.name_or_path, local_files_only=True)
    trainer = SFTTrainer(
        network,
        args=settings,
        train_dataset=Dataset.from_list(columns),
        processing_class=tokenizer,
        peft_config=lora,
    )
    started = time.monotonic()
    trainer.train()
    return time.monotonic() - started


TRAINERS: dict[str, Callable[[Any, Sequence[EncodedPair], Tuning, Path], float]] = {"groundtune": groundtune, "trl": trl}


def held_out_loss(network: Any, rows: Sequence[EncodedPair]) -> float:
    """Mean loss of an answer token over rows that were not trained on."""
    network.train(False)
    with torch.no_grad():
        losses = [float(batch_loss(network, [row], torch.device("cpu"))) * row.answer_tokens for row in rows]
    return sum(losses) / sum(row.answer_tokens for row in rows)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trainer", choices=TRAINERS)
    parser.add_argument("rows", type=Path)
    chosen = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    given = json.loads(chosen.rows.read_text(encoding="utf-8"))
    rows, held = ([EncodedPair(one[0], tuple(one[1]), tuple(one[2])) for one in given[part]] for part in ("rows", "held_out"))
    tuning = Tuning(epochs=1, batch_size=given["batch_size"], learning_rate=1e-3)
    network, _ = torch_model(MODEL)
    before = peak_mb()
    with tempfile.TemporaryDirectory() as folder:
        seconds = TRAINERS[chosen.trainer](network, rows, tuning, Path(folder))
    peak, loss = peak_mb(), held_out_loss(network, held)
    assert math.isfinite(loss), loss
    tokens = sum(len(row.ids) for row in rows)
    figures = {"tokens": tokens, "seconds": seconds, "tokens_per_s": tokens / seconds, "peak_mb": peak, "loaded_mb": before}
    print(json.dumps(figures | {"held_out_loss": loss, "threads": torch.get_num_threads()}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
