"""Memory that answering takes: a process of its own answers a few questions and reports its peak. It scores nothing."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from groundtune.candidates.build import build
from groundtune.candidates.open import open_workshop
from groundtune.candidates.workshop import Weights
from groundtune.config import Config
from groundtune.errors import ModelFailure
from groundtune.ingest.worker import peak
from groundtune.store.workspace import Workspace
from groundtune.types import Candidate, Example

QUESTIONS = 4
"""Asked one after another; the largest of their prompts and the loading of the model set the peak."""


def answering_memory(
    workspace: Workspace,
    candidate: Candidate,
    *,
    examples: Sequence[Example],
    train_examples: Sequence[Example],
    labels: Sequence[str],
    weights: Weights | None,
) -> int:
    """Peak resident bytes of a fresh process that opens the workspace, loads the candidate and answers some of `examples`.

    Interpreter, index, embedder and model are in it; nothing of the race is. Of a hosted model it is what this machine holds.
    Raises ModelFailure when the process dies, as it does where memory runs out.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, initializer=_end_with_parent) as pool:
        process = pool.submit(os.getpid).result()
        work = pool.submit(
            _answer, workspace.root, workspace.config, candidate, examples[:QUESTIONS], train_examples, labels, weights
        )
        try:
            return work.result()
        except BrokenProcessPool as error:
            raise ModelFailure(
                "the process that measures its memory died.",
                subject=candidate.name,
                remedy="Free some memory, or leave decision.max_memory_gb out.",
            ) from error
        except KeyboardInterrupt:
            os.kill(process, signal.SIGKILL)  # else the pool waits for its answers
            raise


def _end_with_parent() -> None:
    """Leave interrupts to the parent, and end when it does, in whatever way."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _answer(
    root: Path,
    config: Config,
    candidate: Candidate,
    examples: Sequence[Example],
    train_examples: Sequence[Example],
    labels: Sequence[str],
    weights: Weights | None,
) -> int:
    with Workspace.open(root) as workspace:
        workspace.config = config
        workshop = open_workshop(workspace, labels=labels)
        assistant = build(candidate, workshop=workshop, train_examples=train_examples, weights=weights)
        for example in examples:
            assistant([example])
    return peak() * 1024
