#!/bin/sh
# Writes deploy/constraints.txt anew: the versions that the image installs. For what .venv has, these are its versions,
# with which the tests ran; for the rest, the newest that fit. One file for all Pythons from 3.11 on: lines have markers.
#   make .venv/.ready && .venv/bin/pip install uv && deploy/lock.sh
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
.venv/bin/python deploy/requirements.py pyproject.toml s3 aws train > "$work/wanted.txt"
.venv/bin/pip list --format=freeze --exclude-editable > "$work/tested.txt"
.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header \
    --constraint "$work/tested.txt" --output-file "$work/constraints.txt" "$work/wanted.txt"
{
    echo "# Made by deploy/lock.sh; not to be edited."
    cat "$work/constraints.txt"
} > deploy/constraints.txt
