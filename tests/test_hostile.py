"""Files that mean harm: each is refused in one line or does nothing, and opens nothing else."""

from __future__ import annotations

import contextlib
import io
import pickle
import subprocess
import sys
import threading
import zipfile
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from farm.errors import FarmError, FlowFileError, PictureError, UsageError, VideoError, WeightsError
from farm.flow import read_flow, write_flow
from farm.flow.codec import decode_match
from farm.flow.files import read_mask
from farm.flow.raft import load_raft_weights
from farm.media.ffmpeg import ffmpeg_binary
from farm.media.film import film_command
from farm.media.pictures import read_picture
from farm.media.probe import probe_video
from farm.paint.features.weights import load_weights
from farm.render.inputs import Inputs
from farm.spec import FrameRange, build_spec
from farm.spec.load import load_spec
from farm.spec.render import EncodeSettings
from tests.conftest import make_clip

SECRET = "film with a secret"


@pytest.fixture
def beacon() -> Iterator[tuple[str, list[str]]]:
    """The address of a server, and what it was asked for."""
    asked: list[str] = []

    class Beacon(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Beacon) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def playlists(address: str, film: Path) -> dict[str, str]:
    """Texts that make ffmpeg open other files, here and elsewhere."""
    hls = "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1.0,\n{}\n#EXT-X-ENDLIST\n"
    dash = (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" '
        f'bandwidth="1"><BaseURL>{address}/dash.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>'
    )
    return {
        "hls.m3u8": hls.format(f"{address}/hls.ts"),
        "hls.mp4": hls.format(f"{address}/hls.ts"),
        "hls-local.mp4": hls.format(film),
        "hls-concat.avi": hls.format(f"concat:{address}/head|file://{film}"),
        "concat.mp4": f"ffconcat version 1.0\nfile '{film}'\n",
        "concat.ffconcat": f"ffconcat version 1.0\nfile '{film}'\n",
        "dash.mpd": dash,
        "dash.mp4": dash,
        "session.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        "subtitles.mp4": "1\n00:00:00,000 --> 00:00:01,000\nhello\n\n2\n00:00:01,000 --> 00:00:02,000\nyou\n",
        "subtitles.srt": "1\n00:00:00,000 --> 00:00:01,000\nhello\n",
        "subtitles.ass": "[Script Info]\nScriptType: v4.00+\n[Events]\nDialogue: 0,0:0:0.0,0:0:1.0,,,0,0,0,,hello\n",
        "text.txt": SECRET,
        "text.nfo": SECRET,
        "vob.sub": "# VobSub index file, v7\nsize: 720x480\nid: en, index: 0\ntimestamp: 00:00:00:000, filepos: 0\n",
    }


@pytest.mark.parametrize("name", playlists("", Path("x")))
def test_what_makes_ffmpeg_open_other_files_is_refused(tmp_path, clip, beacon, name):
    address, asked = beacon
    (tmp_path / name).write_text(playlists(address, clip)[name])
    with pytest.raises(VideoError, match=name) as refused:
        probe_video(str(tmp_path / name))
    assert refused.value.remedy
    assert asked == []


def test_the_playlist_would_have_been_followed(tmp_path, clip):
    """Without the list of formats it is: the tests above test something."""
    (tmp_path / "concat.mp4").write_text(playlists("", clip)["concat.mp4"])
    read = [ffmpeg_binary(), "-v", "error", "-safe", "0", "-i", str(tmp_path / "concat.mp4"), "-f", "null", "-"]
    assert subprocess.run(read, check=False, capture_output=True).returncode == 0


def test_the_ffmpeg_program_opens_no_more_than_the_farm(tmp_path, clip):
    """A film that turns into a playlist after it was probed: ffmpeg reads its sound from the same path."""
    film = tmp_path / "film.mp4"
    film.write_bytes(clip.read_bytes())
    probe = probe_video(str(film))
    film.write_text(playlists("", clip)["concat.mp4"])
    command = film_command(ffmpeg_binary(), probe, FrameRange(0, 12), tmp_path / "out.mp4", EncodeSettings(), ())
    done = subprocess.run(command, check=False, capture_output=True, text=True, input="")
    assert done.returncode != 0
    assert not (tmp_path / "out.mp4").exists() or not (tmp_path / "out.mp4").stat().st_size
    for inputs in ("protocol_whitelist", "format_whitelist"):
        at = command.index(f"-{inputs}")
        assert at < command.index(f"file:{film}")


def test_a_picture_is_no_film(tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "picture.png")
    with pytest.raises(VideoError, match="farm stylize"):
        probe_video(str(tmp_path / "picture.png"))


def png_of(width: int, height: int) -> bytes:
    """A few hundred bytes that decode to width * height black pixels, of grey."""
    rows = zlib.compressobj(1)
    band = bytes((width + 1) * 100)
    data = b"".join(rows.compress(band) for _ in range(height // 100)) + rows.flush()
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((8, 0, 0, 0, 0))

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.process
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path):
    (tmp_path / "bomb.png").write_bytes(png_of(20_000, 12_000))
    assert (tmp_path / "bomb.png").stat().st_size < 2 << 20
    script = (
        "import resource, sys; from farm.media.pictures import read_picture; from farm.errors import PictureError\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "try: read_picture(sys.argv[1])\n"
        "except PictureError as error: print(peak() - before, error)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "bomb.png")], check=True, capture_output=True, text=True
    )
    grown, _, says = told.stdout.partition(" ")
    assert "more than 200 million pixels" in says
    assert int(grown) < 50_000  # KiB; the picture would take 240 MB


def test_a_film_of_gigantic_frames_is_refused_before_it_is_decoded(tmp_path):
    """Three frames of a quarter of a gigapixel in 80 bytes: each would take a gigabyte."""
    side = 15_900
    head = b"GIF89a" + side.to_bytes(2, "little") * 2 + b"\x80\0\0" + b"\0\0\0\xff\xff\xff"
    frame = b"\x2c" + bytes(4) + b"\1\0\1\0\0" + b"\2\2\x44\1\0"
    (tmp_path / "giant.gif").write_bytes(head + frame * 3 + b"\x3b")
    with pytest.raises(VideoError, match="15900x15900 pixels"):
        probe_video(str(tmp_path / "giant.gif"))


def test_postscript_is_no_picture(tmp_path):
    """Pillow would run Ghostscript on it."""
    (tmp_path / "wave.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n")
    with Image.open(tmp_path / "wave.png") as picture:
        assert picture.format == "EPS"
    with pytest.raises(PictureError, match="not a picture"):
        read_picture(tmp_path / "wave.png")


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.write_text, (self.path, "ran")


@pytest.mark.parametrize("how", ["torch", "pickle", "old torch", "tensor subclass"])
@pytest.mark.parametrize(
    "load",
    [
        load_weights,
        load_raft_weights,
        lambda path: load_weights(path, data=path.read_bytes()),
        lambda path: load_raft_weights(path, path.read_bytes()),
    ],
)
def test_code_in_a_weights_file_does_not_run(tmp_path, how, load):
    ran, path = tmp_path / "ran", tmp_path / "weights.pth"
    if how == "pickle":
        path.write_bytes(pickle.dumps(Evil(ran)))
    elif how == "tensor subclass":
        torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3), "extra": Evil(ran)}, path)
    else:
        torch.save(Evil(ran), path, _use_new_zipfile_serialization=how == "torch")
    with pytest.raises(WeightsError):
        load(path)
    assert not ran.exists()
    if how == "torch":
        torch.load(path, weights_only=False)
        assert ran.exists(), "there was code in it"


def test_a_zip_that_is_no_state_dict(tmp_path):
    with zipfile.ZipFile(tmp_path / "weights.pth", "w") as archive:
        archive.writestr("../../escape", "x")
    with pytest.raises(WeightsError):
        load_weights(tmp_path / "weights.pth")


@pytest.mark.parametrize(
    "name", ["$(touch pwned)`touch pwned`.png", "-o pwned;touch pwned;.png", "a'b\"c|touch pwned #.png"]
)
@pytest.mark.process
def test_names_with_shell_characters_are_names(tmp_path, name):
    folder = tmp_path / "x"
    folder.mkdir()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(folder / name)
    film = folder / f"{name[:-4]}.mp4"
    make_clip(folder / "plain.mp4", frames=2, audio=False).rename(film)
    command = [sys.executable, "-m", "farm", "plan", f"./{film.name}", "--style", f"./{name}", "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    from farm.media.film import encode_film

    probe = probe_video(str(film))
    frames = iter([np.zeros((64, 96, 3), np.uint8)] * 2)
    encode_film(frames, probe, FrameRange(0, 2), folder / f"out {name[:-4]}.mp4", EncodeSettings())
    assert read_picture(folder / name).shape == (40, 40, 3)
    assert {found.name for found in folder.iterdir()} == {name, film.name, f"out {name[:-4]}.mp4"}


@pytest.mark.parametrize(
    ("field", "kind"), [("styles", list), ("init", str), ("features", str), ("flow_weights", str), ("video", str)]
)
def test_a_spec_that_names_a_private_file_gets_none_of_it(tmp_path, clip, style, field, kind):
    """Nothing of the file is in the message, and nothing is copied when it is staged."""
    from farm.cluster.staging import copy_inputs

    (tmp_path / "id_rsa").write_text(SECRET)
    values = {"video": str(clip), "styles": [str(style)], "output": str(tmp_path / "out.mp4")}
    values[field] = kind([str(tmp_path / "id_rsa")]) if kind is list else str(tmp_path / "id_rsa")
    spec = build_spec(values)
    with pytest.raises(FarmError) as refused:
        Inputs().for_copying(spec)
    assert refused.value.exit_code == 2
    assert SECRET not in str(refused.value)
    with pytest.raises(FarmError):
        copy_inputs(spec, str(tmp_path / "job"))
    assert not (tmp_path / "job").exists()


@pytest.mark.process
def test_a_name_cannot_speak_to_the_terminal(tmp_path):
    name = "a\x1b]0;owned\x07b.mp4"
    done = subprocess.run(
        [sys.executable, "-m", "farm", "plan", name], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "does not exist" in done.stderr
    assert "\x1b" not in done.stderr
    assert "\x07" not in done.stderr


# fuzz ------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = sorted(build_spec({"video": "v", "output": "o.mp4", "method": "identity"}).model_dump())


@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=6))
@settings(max_examples=80, deadline=None)
@example({"video": 10**5000, "output": "o.mp4", "method": "identity"})
@example({"styles": ["~nobody-here/x.png"], "video": "v", "output": "o"})
@example({"video": "a\0b", "output": "o.mp4", "method": "identity"})
def test_fuzz_any_mapping_is_a_spec_or_refused(values):
    from farm.spec.load import with_absolute_paths

    refused = ""
    try:
        spec = build_spec(with_absolute_paths(values))
    except UsageError as error:
        refused = str(error)
    else:
        assert build_spec(spec.model_dump(mode="json")) == spec
    assert "\n" not in refused


@given(st.binary(max_size=300) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
@settings(max_examples=80, deadline=None)
@example(b"[" * 5000)
@example(b"{a: &a [*a]}")
@example(b"video: 2001-99-99")
@example(b"video: " + b"9" * 5000)
@example(b"1: 2\nnull: 3\n[1]: 4")
@example(b"? {a: b}\n: c")
@example(b"!!python/object/apply:os.system ['touch pwned']")
@example(b"video: ~nobody-here/film.mp4\noutput: o.mp4")
@example(b"regions: ['a.png=b.png', 3]\nvideo: \"a\\0b\"")
def test_fuzz_any_bytes_are_a_spec_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_bytes(data)
    refused = ""
    try:
        load_spec(path)
    except UsageError as error:
        refused = str(error)
    assert "\n" not in refused
    assert not Path("pwned").exists()


def test_a_spec_that_doubles_itself_costs_nothing(tmp_path):
    """Aliases of aliases: a billion entries in a few hundred bytes."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    (tmp_path / "bomb.yaml").write_text("\n".join([*lines, "styles: *a9", "video: v", "output: o"]))
    with pytest.raises(UsageError) as refused:
        load_spec(tmp_path / "bomb.yaml")
    assert len(str(refused.value)) < 10_000


def test_a_gigabyte_is_no_spec(tmp_path):
    with (tmp_path / "large.yaml").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(UsageError, match="larger than 1 MiB"):
        load_spec(tmp_path / "large.yaml")


def flo(width: int, height: int, body: bytes) -> bytes:
    return b"PIEH" + np.array([width, height], "<i4").tobytes() + body


@given(
    st.binary(max_size=64)
    | st.builds(flo, st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1), st.binary(max_size=64))
    | st.integers(1, 3).flatmap(lambda side: st.builds(flo, st.just(side), st.just(2), st.binary(max_size=48)))
)
@settings(max_examples=150, deadline=None)
@example(flo(100_000, 100_000, b""))
@example(flo(1, 1, b"\x00\x00\xc0\x7f" * 2))
def test_fuzz_any_bytes_are_a_flow_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "fuzz.flo"
    path.write_bytes(data)
    try:
        flow = read_flow(path)
    except FlowFileError:
        return
    assert len(data) == 12 + flow.size * 4
    write_flow(path, flow)
    again = read_flow(path)
    assert np.array_equal(again, flow, equal_nan=True)


@given(st.binary(max_size=80) | st.binary(max_size=40).map(lambda tail: b"P5\n" + tail))
@settings(max_examples=60, deadline=None)
@example(b"P5 99999999999 99999999999 255 ")
@example(b"P5 " + b"9" * 5000 + b" 1 255 ")
def test_fuzz_any_bytes_are_a_mask_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "fuzz.pgm"
    path.write_bytes(data)
    with contextlib.suppress(FlowFileError):
        assert read_mask(path).dtype == np.uint8


@given(st.binary(max_size=200), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_fuzz_a_stored_flow_is_read_or_refused(noise, at):
    from farm.flow import encode_flow

    whole = bytearray(encode_flow(np.zeros((4, 5, 2), np.float32)))
    at %= len(whole)
    whole[at : at + len(noise)] = noise
    try:
        flow, weight = decode_match(bytes(whole))
    except FlowFileError:
        return
    assert flow.shape[:2] == weight.shape


@given(st.binary(max_size=400))
@settings(max_examples=50, deadline=None)
def test_fuzz_any_bytes_are_a_picture_or_refused(tmp_path_factory, noise):
    buffer = io.BytesIO()
    Image.new("RGB", (9, 7), "red").save(buffer, "PNG")
    path = tmp_path_factory.getbasetemp() / "fuzz.png"
    for data in (noise, buffer.getvalue()[:40] + noise):
        path.write_bytes(data)
        with contextlib.suppress(PictureError):
            assert read_picture(path).ndim == 3
