"""Packages of the extra `dataset`, imported when they are first needed. Knows what they are called, not what they do."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from groundtune.errors import MissingExtra


def extra(module: str, *, wanted_by: str) -> Any:
    """The module. Raises MissingExtra with the install command."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtra((error.name or module).partition(".")[0], extra="dataset", wanted_by=wanted_by) from error
