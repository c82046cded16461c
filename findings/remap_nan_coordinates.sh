#!/usr/bin/env bash
# cv2.remap with a coordinate that is not a number: what it returns depends on border mode, interpolation and type.
#
# Package:  opencv-python-headless 5.0.0 (cv2.remap)
# Guess:    A coordinate of NaN counts as outside the picture, so that the border mode decides: BORDER_CONSTANT gives the
#           border value, BORDER_REPLICATE a pixel of the edge, for every type and interpolation.
# Seen:     BORDER_CONSTANT gives the border value. With BORDER_REPLICATE, REFLECT_101 and WRAP, INTER_LINEAR gives NaN
#           for float32 pictures and 0 (black) for uint8 ones; INTER_NEAREST gives a pixel of the picture.
# So:       Unknown optical flow is often stored as NaN. Replace it before a warp that mirrors or replicates its border.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "opencv-python-headless==5.0.0.93" "numpy==2.4.6"
"$folder/venv/bin/python" - <<'PY'
import cv2
import numpy as np

picture = np.arange(100, 116, dtype=np.float32).reshape(4, 4)
x, y = np.full((1, 4), np.nan, np.float32), np.ones((1, 4), np.float32)


def remapped(kind, interpolation, border):
    return cv2.remap(picture.astype(kind), x, y, interpolation, borderMode=border, borderValue=7)[0].tolist()


print(cv2.__version__)
for name in ("CONSTANT", "REPLICATE", "REFLECT_101", "WRAP"):
    border = getattr(cv2, f"BORDER_{name}")
    rows = {
        "float32 linear": remapped(np.float32, cv2.INTER_LINEAR, border),
        "uint8 linear": remapped(np.uint8, cv2.INTER_LINEAR, border),
        "uint8 nearest": remapped(np.uint8, cv2.INTER_NEAREST, border),
    }
    print(name, {key: row[0] for key, row in rows.items()})
    if name == "CONSTANT":
        assert all(row == [7] * 4 for row in rows.values())
    else:
        assert np.isnan(rows["float32 linear"]).all()
        assert rows["uint8 linear"] == [0] * 4
        assert all(value in picture for value in rows["uint8 nearest"])
PY
echo "as described"
