#!/usr/bin/env bash
# Writes constraints.txt anew from a fresh environment with the newest versions that pyproject.toml admits (torch stays as pinned).
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --only-binary :all: "$(grep '^torch==' constraints.txt)" --editable '.[lance,openvino,passwords,preferences,train,dev]'
{
  sed -n '/^#/p' constraints.txt
  "$work/venv/bin/python" -m pip freeze --all --exclude-editable --exclude pip | sed -E 's/^(torch==[0-9.]+).*/\1/' | sort -f
} >"$work/constraints.txt"
mv "$work/constraints.txt" constraints.txt
