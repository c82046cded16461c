#!/usr/bin/env bash
# A 16-bit RGB picture in JPEG 2000, opened by Pillow, which has no 16-bit RGB and has to reduce it to 8 bits.
#
# Package:  Pillow 13.0.0; opencv-python-headless 5.0.0.93 writes the file and reads it back
# Guess:    Each sample keeps its upper byte, as 16-bit RGB PNG does: 65535 becomes 255.
# Seen:     Samples are rounded to the nearest of 257 steps, and the last step has no byte: 65408 and all above become 0.
#           The brightest two thousandths of the scale, white with it, are black. OpenCV reads the same file exactly,
#           and so does Pillow where it is grey.
# So:       16-bit JPEG 2000 pictures with white in them are read by something else.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "Pillow==13.0.0" "opencv-python-headless==5.0.0.93" "numpy==2.4.6"
"$folder/venv/bin/python" - <<'PY'
import io

import cv2
import numpy as np
from PIL import Image

LEVELS = np.array([0, 256, 32768, 65279, 65407, 65408, 65535], np.uint16)
grey = np.kron(np.repeat(LEVELS[None], 16, axis=0), np.ones((16, 16), np.uint16))  # squares of 16 pixels


def read(picture):
    """What OpenCV and Pillow find in the middle of each square, in the first channel."""
    written, data = cv2.imencode(".jp2", picture, [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])
    assert written
    opened = Image.open(io.BytesIO(data.tobytes()))
    views = cv2.imdecode(data, cv2.IMREAD_UNCHANGED), np.asarray(opened)
    return opened.mode, *([int(np.ravel(view[8, x])[0]) for x in range(8, view.shape[1], 16)] for view in views)


seen = {name: read(picture) for name, picture in (("grey", grey), ("RGB", grey[..., None].repeat(3, axis=2)))}
for name, (mode, opencv, pillow) in seen.items():
    print(f"{name}, opened as {mode}: OpenCV {opencv}, Pillow {pillow}")
assert seen["grey"] == ("I;16", LEVELS.tolist(), LEVELS.tolist())
assert seen["RGB"] == ("RGB", LEVELS.tolist(), [0, 1, 128, 255, 255, 0, 0])
PY
