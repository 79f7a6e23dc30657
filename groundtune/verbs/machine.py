"""models, doctor: what this machine and a workspace have and lack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from groundtune.config import FILE_NAME, Config, load_config
from groundtune.errors import GroundtuneError
from groundtune.interfaces import Progress
from groundtune.models import ModelInfo, available
from groundtune.store.workspace import Workspace
from groundtune.verbs.machine_checks import Finding, cache_disk, failing, machine
from groundtune.verbs.pace import MachinePace, machine_pace
from groundtune.verbs.workspace_checks import inside, workspace_disk


@dataclass(frozen=True, slots=True)
class Checkup:
    """What `doctor` found."""

    ok: bool
    """Whether nothing that is needed is missing."""
    findings: tuple[Finding, ...]
    pace: MachinePace | None
    """None where the configured model cannot be measured here; `no_pace` says why."""
    no_pace: str
    disk: Mapping[str, int]
    """Part of the cache or the workspace -> bytes."""


def models() -> tuple[ModelInfo, ...]:
    """The models and embedders that can be named, whether each is ready on this machine and, if not, how to get it."""
    return available()


def doctor(root: Path | str | None = None, *, measure: bool | None = None, progress: Progress | None = None) -> Checkup:
    """Check the machine and, where `root` is given, the workspace; say what a machine like this does in a minute.

    What is needed is told from the workspace's configuration, else from the default one. `measure`: False uses a pace that was
    measured before, True measures anew, None measures where nothing is remembered. Raises nothing for what it finds.
    """
    config, findings = Config(), list[Finding]()
    workspace: Workspace | None = None
    if root is not None:
        try:
            config = load_config(Path(root) / FILE_NAME)
            workspace = Workspace.open(root)
        except GroundtuneError as error:
            findings.append(failing("workspace", error))
    findings = [*machine(config), *findings]
    disk = cache_disk()
    if workspace is not None:
        with workspace:
            findings += inside(workspace)
            disk |= workspace_disk(workspace)
    pace, no_pace = machine_pace(config, measure=measure, progress=progress)
    return Checkup(
        ok=all(finding.ok or not finding.needed for finding in findings),
        findings=tuple(findings),
        pace=pace,
        no_pace=no_pace,
        disk=disk,
    )
