"""`groundtune compact`: what no current document needs, off the disk."""

from __future__ import annotations

import groundtune
from groundtune.cli import output
from groundtune.cli.options import HERE, Json, Workspace


def command(workspace: Workspace = HERE, json: Json = False) -> None:
    """Take off the disk what no current document needs.

    Stored parses and vectors of removed and changed documents go, as do withdrawn weights and datasets, and the
    index is built anew from the rest.
    """
    done = groundtune.compact(workspace)
    if json:
        output.document(done)
        return
    results, orphans = output.counted(done.results, "stored result"), output.counted(done.orphans, "stray file")
    withdrawn = f" and {done.weights} withdrawn weights" if done.weights else ""
    output.line(f"{results}, {orphans}{withdrawn} removed; the index holds {output.counted(done.chunks, 'chunk')}")
