"""The options that several commands share, described once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Workspace = Annotated[Path, typer.Option("--workspace", "-w", metavar="DIR", help="Folder that holds groundtune.toml.")]
As = Annotated[
    list[str] | None,
    typer.Option("--as", metavar="PRINCIPAL", help="Act as this user or group; repeat for several. Without it: everyone."),
]

HERE = Path()
