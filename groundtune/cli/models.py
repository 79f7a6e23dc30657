"""`groundtune models`: the models and embedders that this machine can use."""

from __future__ import annotations

import groundtune
from groundtune.cli import output
from groundtune.cli.options import Json


def command(json: Json = False) -> None:
    """List models and embedders.

    Says of each whether it is installed and, if not, how to get it.
    """
    known = groundtune.models()
    if json:
        output.document({"models": known})
        return
    rows = [(model.name, model.kind, *(("yes", "") if model.installed else ("no", model.remedy))) for model in known]
    output.line(output.table(("name", "kind", "installed", "how to get it"), rows))
