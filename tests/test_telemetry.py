"""Engines work without telling anybody that they do."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("openvino")

CODE = """
import os, sys
os.fork = None
from groundtune.models import load_embedder, load_model
load_embedder("embedded:minilm").embed(["a sentence"])
load_model("embedded:smollm2")
from openvino.tools.ovc import telemetry_utils
print(telemetry_utils.tm.__name__, [name for name in sys.modules if name.startswith("openvino_telemetry.")])
"""


def test_openvino_reports_nothing() -> None:
    """Its stub is in the place of its reporter, and no process is forked to carry a report."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "openvino.tools.ovc.telemetry_stub []"
