"""Entry point: finds the command, imports only its module, and turns errors into messages and exit codes."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer
import typer.main

import groundtune
from groundtune.cli import output
from groundtune.cli.interrupt import Interrupts, end_at_once
from groundtune.errors import GroundtuneError, MissingExtra, UsageError, WorkspaceError
from groundtune.installation import NAME, extra_of

COMMANDS = (
    "advise",
    "init",
    "sync",
    "show",
    "search",
    "ask",
    "dataset",
    "plan",
    "train",
    "learned",
    "evaluate",
    "sweep",
    "decide",
    "report",
    "lineage",
    "export",
    "erase",
    "compact",
    "models",
    "doctor",
)
"""In the order of a first use; each is a module of this folder with a function `command`."""

GROUPS = {"dataset": ("check", "build")}
"""Commands with commands of their own: `groundtune dataset check` is a function `check` of that module."""

INTERRUPTED = 130
_NOT_OURS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT}
"""What the machine refuses: no defect of this program."""


def application(names: Sequence[str] = COMMANDS) -> typer.Typer:
    """The command line with the named commands only, so that using one imports no other."""
    app = typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_common)
    for name in names:
        module = import_module(f"groundtune.cli.{name}")
        if name not in GROUPS:
            app.command(name)(module.command)
            continue
        group = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)
        for inner in GROUPS[name]:
            group.command(inner)(getattr(module, inner))
        app.add_typer(group, name=name, help=module.ABOUT)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        output.line(f"groundtune {groundtune.__version__}")
        raise typer.Exit


def _common(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Build every option on your own data, race them with honest statistics, ship the winner.

    With --json, standard output is one JSON document and everything else goes to standard error.

    \b
    Exit codes:
      0  done, an inconclusive verdict included
      2  usage or configuration
      3  documents or questions
      4  not found: model, document, candidate, file or run
      5  an optional package is missing
      6  access denied
      7  a model could not load, answer or train
      8  the workspace or the machine: locked, read-only, full, damaged
    130  interrupted (143 by a request to end); the same command goes on where it stopped
      1  a defect of this program
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    interrupts = Interrupts(farewell=lambda code: output.shown(_interrupted(words, code)), say=_say)
    interrupts.install()
    try:
        code = run(words, interrupts=interrupts)
    except KeyboardInterrupt:  # while the end of a run was being told
        code = output.fail(_interrupted(words, interrupts.code), as_json=False)
    interrupts.closing(code)
    if interrupts.interrupted:  # everything is unwound; what still runs in threads is not waited for
        sys.stdout.flush()
        end_at_once(code)
    sys.exit(code)


def run(words: Sequence[str], *, interrupts: Interrupts | None = None) -> int:
    """Run one command and return its exit code."""
    options = words[: words.index("--")] if "--" in words else words
    as_json, debug = "--json" in options, "--debug" in options
    first = next((word for word in words if not word.startswith("-")), "")
    command = typer.main.get_command(application((first,) if first in COMMANDS else COMMANDS))
    try:
        result = command.main(args=list(words), prog_name="groundtune", standalone_mode=False)
    except typer.TyperException as error:
        about = _line([first, "--help"] if first in COMMANDS else ["--help"])
        return output.fail(UsageError(error.format_message(), remedy=f"See: {about}"), as_json=as_json)
    except GroundtuneError as error:
        return output.fail(error, as_json=as_json, trace=traceback.format_exc() if debug else "")
    except (KeyboardInterrupt, typer.Abort):
        result = INTERRUPTED
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _NOT_OURS:
            refused = WorkspaceError(error.strerror or str(error), subject=str(error.filename or ""), remedy=_REFUSED)
            return output.fail(refused, as_json=as_json, trace=traceback.format_exc() if debug else "")
        if isinstance(error, ModuleNotFoundError) and not (error.name or NAME).startswith(NAME):
            absent = MissingExtra(str(error.name), extra=extra_of(str(error.name)), wanted_by=NAME)
            return output.fail(absent, as_json=as_json, trace=traceback.format_exc() if debug else "")
        remedy = "This is a defect of groundtune. " + (
            "Report it with the traceback above." if debug else f"For the traceback run: {_line(['--debug', *words])}"
        )
        defect = GroundtuneError(f"{type(error).__name__}: {error}", remedy=remedy)
        return output.fail(defect, as_json=as_json, trace=traceback.format_exc() if debug else "")
    if result == INTERRUPTED:
        code = interrupts.code if interrupts else INTERRUPTED
        return output.fail(_interrupted(words, code), as_json=as_json)
    return result if isinstance(result, int) else 0


def _interrupted(words: Sequence[str], code: int) -> GroundtuneError:
    stop = GroundtuneError("interrupted; every finished step is kept.", remedy=f"To go on, run again: {_line(words)}")
    stop.exit_code = code
    return stop


def _say(text: str) -> None:
    """A line on standard error, past Python's buffers: the main thread may hold their locks."""
    os.write(2, f"{text}\n".encode())


_REFUSED = "Give write access to the folder or free some space, then run the same command again: finished steps are kept."


def _line(words: Sequence[str]) -> str:
    return shlex.join([*program(sys.argv[0]), *words])


def program(started_as: str) -> list[str]:
    """The words that start this program again from the same folder, as it was started."""
    if Path(started_as).name == "groundtune":
        found = shutil.which("groundtune")
        on_path = found is not None and Path(found).resolve() == Path(started_as).resolve()
        return ["groundtune"] if on_path else [started_as]
    if Path(started_as).resolve() == Path(__file__).resolve():
        return [sys.executable, "-m", "groundtune.cli.main"]
    return ["groundtune"]


if __name__ == "__main__":
    main()
