"""Changes keys in the text of groundtune.toml, every other line as its owner wrote it. Knows TOML; not what values do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tomlkit


def with_keys(text: str, changes: Mapping[str, Mapping[str, Any]]) -> str:
    """The text of a TOML file with these keys (table -> key -> value); None takes a key away."""
    document = tomlkit.parse(text)
    for table, keys in changes.items():
        if table not in document:
            document.add(table, tomlkit.table())
        held: Any = document[table]
        for key, value in keys.items():
            if value is None:
                held.pop(key, None)
            else:
                held[key] = value
    return tomlkit.dumps(document)
