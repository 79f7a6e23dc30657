"""`groundtune export`: tuned weights for other engines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import groundtune
from groundtune.cli import output
from groundtune.cli.options import HERE, As, Json, Workspace


def command(
    weights: Annotated[str, typer.Argument(metavar="WEIGHTS", help="Id of weights, or a tuned candidate.")],
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="New or empty folder to write.")],
    format: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="merged (Hugging Face folder), gguf (one file, f16), or lora (factors alone, as vLLM takes them).",
        ),
    ] = "merged",
    base: Annotated[str, typer.Option(metavar="NAME", help="With lora: what the folder names as its base model.")] = "",
    acting_as: As = None,
    workspace: Workspace = HERE,
    json: Json = False,
) -> None:
    """Write tuned weights for other engines.

    Whoever may use the weights may export them. The model card and the audience go with them; no withdrawal reaches an export.
    """
    done = groundtune.export(
        weights,
        to=to,
        format=format,
        root=workspace,
        principals=tuple(acting_as or ()),
        base=base,
    )
    if json:
        output.document(done)
        return
    output.line(f"weights {done.weights} as {done.format} in {done.folder}: {done.bytes / 1e6:.1f} MB")
    output.line(f"files: {', '.join(done.files)}")
    output.line(f"base: {done.model}, licence: {done.licence}")
    output.line(f"use: {done.use}")
