#!/usr/bin/env bash
# Four channels of uncompressed sound (front left, front right, back left, back right) written to Matroska by ffmpeg.
#
# Package:  imageio-ffmpeg 0.6.0 (its ffmpeg)
# Guess:    The layout comes back as it was written: MP4, MOV and WAV have a field for it, and FLAC keeps it in Matroska.
# Seen:     Matroska stores the number of channels alone. PCM that was `quad` is read as `4.0`: the third channel, back
#           left, is now the front centre, and the fourth, back right, is back centre. 5.1(side) comes back as 5.1.
#           FLAC in the same container keeps both layouts, because its own header has them.
# So:       Sound in an unusual layout goes into Matroska as FLAC, or its layout is given again on reading.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "imageio-ffmpeg==0.6.0"
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import re
import subprocess

import imageio_ffmpeg

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()


def layout_after(layout, codec, ending):
    """The layout that ffmpeg says the sound of a film has which it wrote itself with this layout."""
    sound = ["-f", "lavfi", "-i", f"anullsrc=channel_layout={layout}:sample_rate=48000", "-t", "0.2", "-c:a", codec]
    subprocess.run([FFMPEG, "-v", "error", "-y", *sound, f"sound{ending}"], check=True)
    told = subprocess.run([FFMPEG, "-hide_banner", "-i", f"sound{ending}"], capture_output=True, text=True).stderr
    return re.search(r"Audio: .*? Hz, ([^,]+),", told).group(1)


seen = {
    (layout, codec, ending): layout_after(layout, codec, ending)
    for layout in ("quad", "5.1(side)")
    for codec, ending in (("pcm_s16le", ".mkv"), ("flac", ".mkv"), ("pcm_s16le", ".mov"))
}
for (layout, codec, ending), after in seen.items():
    print(f"{layout} as {codec} in {ending}: {after}")
assert seen["quad", "pcm_s16le", ".mkv"] == "4.0"
assert seen["5.1(side)", "pcm_s16le", ".mkv"] == "5.1"
assert all(after == layout for (layout, codec, ending), after in seen.items() if (codec, ending) != ("pcm_s16le", ".mkv"))
PY
