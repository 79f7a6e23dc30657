"""How much memory a training held at most: of the accelerator, else of this process. Knows no network."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path

import torch

_PROCESS = Path("/proc/self")


def forget_peak(device: torch.device) -> None:
    """Let the peak begin anew, so that earlier work of the process does not count. On a CPU that takes Linux."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError):  # another system, or a sandbox that forbids it: the peak is then the process's since it began
        (_PROCESS / "clear_refs").write_text("5", encoding="ascii")  # see proc(5)


def peak_memory(device: torch.device) -> int:
    """Most bytes held since `forget_peak`: the accelerator's, else the whole process's, with all that it had loaded before."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with suppress(OSError):
        for line in (_PROCESS / "status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
