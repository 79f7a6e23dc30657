"""From `provider:name` to an object, imported on first use through entry points. Knows no provider by itself."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from groundtune.errors import NotFound, UsageError

NOTHING_SHIPPED: Mapping[str, str] = {}


def providers(group: str, *, shipped: Mapping[str, str] = NOTHING_SHIPPED) -> list[str]:
    """Names of the providers of a seam: shipped ones and those of installed packages, sorted."""
    return sorted({*shipped, *(point.name for point in entry_points(group=group))})


def load(reference: str, *, group: str, shipped: Mapping[str, str] = NOTHING_SHIPPED) -> Any:
    """The object behind `provider:name`, usually a factory that takes the name; nothing is imported before.

    `group` is an entry point group such as `groundtune.models`; `shipped` maps the providers that come with Groundtune to
    `package.module:attribute`. A shipped provider cannot be replaced by an installed package. A left side with a dot is a
    module: `package.module:attribute`. Raises UsageError without a colon, NotFound (with the nearest name) otherwise.
    """
    provider, colon, name = reference.partition(":")
    if not provider or not colon or not name:
        raise UsageError(f"{reference!r} is not of the form provider:name.", remedy=f"Providers: {_listed(group, shipped)}.")
    if provider in shipped:
        return _imported(shipped[provider], reference)
    for point in entry_points(group=group, name=provider):
        return _imported(point.value, reference)
    if "." in provider:
        return _imported(reference, reference)
    near = difflib.get_close_matches(provider, providers(group, shipped=shipped), n=1)
    hint = f"Did you mean {near[0]}:{name}?" if near else f"Providers: {_listed(group, shipped)}."
    raise NotFound(f"there is no provider {provider!r}.", subject=reference, remedy=hint)


def _imported(target: str, reference: str) -> Any:
    module, _, attribute = target.partition(":")
    try:
        value: Any = import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or module
        if module == missing or module.startswith(f"{missing}."):
            raise NotFound(f"there is no module {module!r}.", subject=reference, remedy="Install the plugin.") from error
        raise NotFound(f"{module} needs the package {missing!r}.", subject=reference, remedy=f"Install {missing}.") from error
    for step in attribute.split("."):
        try:
            value = getattr(value, step)
        except AttributeError as error:
            raise NotFound(f"{module} has no {attribute!r}.", subject=reference) from error
    return value


def _listed(group: str, shipped: Mapping[str, str]) -> str:
    return ", ".join(providers(group, shipped=shipped)) or "none"
