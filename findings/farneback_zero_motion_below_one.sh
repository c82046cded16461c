#!/usr/bin/env bash
# Farneback's optical flow finds no motion in pictures of floats in 0..1, and says nothing.
#
# Package:  opencv-python-headless 5.0.0 (cv2.calcOpticalFlowFarneback)
# Guess:    The flow of two pictures does not depend on their scale: the same pair in 0..255 and in 0..1 gives the same
#           field, as DualTVL1 of the same package does for the same two inputs.
# Seen:     A texture moved by exactly 2 pixels. Grey levels 0..255 give 2.000 px, the same levels divided by 8 give
#           1.643 px, divided by 255 they give 0.000 px. No error is raised and no warning is printed.
# So:       Give it uint8, or floats in 0..255. A field of zeros is not a sign of a still picture.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "opencv-python-headless==5.0.0.93" "numpy==2.4.6"
"$folder/venv/bin/python" - <<'PY'
import cv2
import numpy as np

noise = np.random.default_rng(0).integers(0, 256, (148, 148), dtype=np.uint8)
texture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)
before, after = texture[10:138, 10:138].copy(), texture[10:138, 8:136].copy()  # moved right by 2 pixels


def median_motion(divisor: float) -> float:
    pair = [(picture / np.float32(divisor)).astype(np.float32) for picture in (before, after)]
    return float(np.median(cv2.calcOpticalFlowFarneback(*pair, None, 0.5, 3, 15, 3, 5, 1.2, 0)[..., 0]))


seen = {divisor: median_motion(divisor) for divisor in (1, 8, 255)}
print(cv2.__version__, {divisor: f"{motion:.3f} px" for divisor, motion in seen.items()})
assert abs(seen[1] - 2) < 0.01
assert 1.5 < seen[8] < 1.8
assert abs(seen[255]) < 0.001
PY
echo "as described"
