"""Keeps an engine from reporting its use to its maker. Imports no engine; is called before one is imported."""

from __future__ import annotations

import sys


def silence() -> None:
    """OpenVINO sends usage to an analytics server, through a forked process, unless this package of its is absent."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: "not importable" to Python
