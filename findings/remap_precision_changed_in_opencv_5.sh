#!/usr/bin/env bash
# cv2.remap rounds coordinates to 1/32 pixel in OpenCV 4 and no longer does in OpenCV 5.
#
# Package:  opencv-python-headless 4.12.0 and 5.0.0 (cv2.remap, INTER_LINEAR, float32)
# Guess:    The documented fixed-point coordinates of 1/32 pixel are the same in both versions, so a warp by optical flow
#           is the same to the bit.
# Seen:     1,001 coordinates spread evenly over one pixel, between grey levels 0 and 100: 4.12.0 returns 33 different
#           levels, 5.0.0 returns 1,001.
# So:       A film whose first half was warped with one version and whose second half with the other has a seam. Pin the
#           version on all workers, or compare it before they join.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 4.12.0.88 5.0.0.93; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet "opencv-python-headless==$version" "numpy==2.2.6"
    "$folder/$version/bin/python" - <<'PY'
import cv2
import numpy as np

x = np.linspace(0, 1, 1001, dtype=np.float32)[None]
levels = cv2.remap(np.array([[0, 100]], np.float32), x, np.zeros_like(x), cv2.INTER_LINEAR)
different = len(np.unique(levels))
print(cv2.__version__, different, "levels")
assert different == {"4": 33, "5": 1001}[cv2.__version__[0]]
PY
done
echo "as described"
