#!/usr/bin/env bash
# A Matroska film with a font attached, copied by ffmpeg without its metadata: -map 0 -c copy -map_metadata -1.
#
# Package:  imageio-ffmpeg 0.6.0 (its ffmpeg)
# Guess:    Titles, dates and comments go, and the streams, the attachment among them, are copied as they are.
# Seen:     The file name and the MIME type of an attachment are stream metadata to ffmpeg. Both go as well, the muxer
#           refuses an attachment without them, and no film is written (exit code not 0). With both given again for that
#           stream (-metadata:s:t mimetype=... and filename=...) it is.
# So:       A film is stripped of its metadata with type and name of its attachments given again, or without them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "imageio-ffmpeg==0.6.0"
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import subprocess
from pathlib import Path

import imageio_ffmpeg

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
Path("font.ttf").write_bytes(bytes(64))  # copied, never read


def run(*options):
    done = subprocess.run([FFMPEG, "-v", "error", "-y", *options], capture_output=True, text=True)
    return done.returncode, done.stderr


picture = ["-f", "lavfi", "-i", "color=size=32x32:rate=5:duration=1", "-c:v", "ffv1"]
assert run(*picture, "-attach", "font.ttf", "-metadata:s:t", "mimetype=font/ttf", "film.mkv")[0] == 0
copy = ["-i", "film.mkv", "-map", "0", "-c", "copy"]
as_it_is, stripped = run(*copy, "as_it_is.mkv"), run(*copy, "-map_metadata", "-1", "stripped.mkv")
again = ["-metadata:s:t", "mimetype=font/ttf", "-metadata:s:t", "filename=font.ttf"]
given_again = run(*copy, "-map_metadata", "-1", *again, "given_again.mkv")
print("copied:", as_it_is[0], "stripped:", stripped[0], stripped[1].strip().splitlines()[0], "again:", given_again[0])
assert as_it_is[0] == 0
assert stripped[0] != 0
assert "mimetype" in stripped[1]
assert given_again[0] == 0, given_again[1]
PY
