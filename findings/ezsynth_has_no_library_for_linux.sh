#!/usr/bin/env bash
# The wheel ezsynth, tagged for any platform and classified as independent of the operating system, on Linux.
#
# Package:  ezsynth 2.1.1, opencv-python-headless 4.13.0.92, numpy 2.4.6
# Guess:    A wheel "py3-none-any" that says "Operating System :: OS Independent" synthesises a frame on Linux; at worst it
#           is slow there, as its compiled part may be for one processor only.
# Seen:     Its only compiled part is ebsynth.dll. On Linux its runner opens ebsynth.so beside it, a file that the wheel does
#           not hold, so OSError is raised when the first frame is to be synthesised, and not when the package is
#           installed or imported.
# So:       To compare with it on Linux, the library of that name has to be built from the sources of EbSynth and put into
#           the installed package.
set -euo pipefail
[ "$(uname -s)" = Linux ] || { echo "this is about Linux"; exit 0; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-deps "ezsynth==2.1.1" "opencv-python-headless==4.13.0.92" "numpy==2.4.6"
"$folder/venv/bin/python" - <<'PY'
import importlib.metadata
import importlib.util

import numpy as np

files = importlib.metadata.files("ezsynth")
wheel = next(file.read_text() for file in files if file.name == "WHEEL")
metadata = next(file.read_text() for file in files if file.name == "METADATA")
compiled = sorted(file.name for file in files if file.suffix in (".so", ".dll", ".dylib", ".pyd"))
# Its module of that name alone: the package itself imports torch, which has no part in this.
runner = next(file for file in files if file.name == "_eb.py").locate()
spec = importlib.util.spec_from_file_location("runner", runner)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
try:
    module.EbsynthRunner().initialize_libebsynth()
    outcome = "opened"
except OSError as error:
    outcome = f"OSError about {str(error).split('/')[-1].split(':')[0]}"
tagged = "Tag: py3-none-any" in wheel and "OS Independent" in metadata
print(f"any platform: {tagged}; compiled parts: {compiled}; on Linux: {outcome}; numpy {np.__version__}")
assert tagged
assert compiled == ["ebsynth.dll"], compiled
assert outcome == "OSError about ebsynth.so", outcome
PY
