"""The command line: one clear line, the right exit code, nothing left behind."""

from __future__ import annotations

import functools
import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.main import get_command

from farm.cli.main import app, main
from farm.spec import RenderSpec
from tests.conftest import make_clip

PAINT_FAULTS = [
    (["--init", "{folder}/none.png"], "there is no picture"),
    (["--init", "{text.jpg}"], "is not a picture"),
    (["--features", "{folder}/none.pth"], "there is no weights file"),
    (["--features", "{text.jpg}"], "not a weights file that can be read safely"),
    (["--features", "{folder}"], "there is no weights file"),
    (["--style-layers", "relu9_1"], "style_layers: there is no layer 'relu9_1'"),
    (["--style-layers", "relu1_3"], "vgg19 has no layer 'relu1_3'"),
    (["--content-layers", "relu4_2:heavy"], "content_layers.relu4_2: must be a valid number"),
    (["--style-weight", "0", "--content-weight", "0"], "content and style both weigh nothing"),
    (["--tv-weight", "-1"], "weights.tv: must be greater than or equal to 0"),
    (["--learning-rate", "0"], "learning_rate: must be greater than 0"),
    (["--color", "sepia"], "'sepia' is not one of"),
    (["--optimizer", "sgd"], "'sgd' is not one of"),
    (["--pooling", "min"], "'min' is not one of"),
]
"""Of options that stills and films share."""


@pytest.fixture
def farm(monkeypatch, capsys):
    """Run the command line in this process: (exit code, stdout, stderr)."""
    before = signal.getsignal(signal.SIGTERM)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["farm", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as done:
            code = int(done.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    yield run
    signal.signal(signal.SIGTERM, before)


@functools.cache
def sound_and_film() -> tuple[bytes, bytes]:
    """A film without pictures and one without sound, made once for all tests."""
    from farm.media.ffmpeg import ffmpeg_binary

    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder, "sound.mp4")
        make = [ffmpeg_binary(), "-v", "error", "-f", "lavfi", "-i", "sine=duration=1", str(sound)]
        subprocess.run(make, check=True)
        film = make_clip(Path(folder, "whole.mkv"), frames=60, audio=False)
        return sound.read_bytes(), film.read_bytes()


def broken(folder: Path) -> dict[str, Path]:
    """Files that are not films or pictures, each in its own way."""
    files = {name: folder / name for name in ("empty.mp4", "text.mp4", "text.jpg", "sound.mp4", "short.mp4")}
    files["empty.mp4"].write_bytes(b"")
    files["text.mp4"].write_text("hello")
    files["text.jpg"].write_text("hello")
    sound, whole = sound_and_film()
    files["sound.mp4"].write_bytes(sound)
    files["short.mp4"].write_bytes(whole[: len(whole) // 2])
    files["none.mp4"] = folder / "none.mp4"
    files["folder"] = folder
    return files


@pytest.mark.parametrize(
    ("video", "says"),
    [
        ("none.mp4", "does not exist"),
        ("folder", "is a directory"),
        ("empty.mp4", "empty.mp4 is empty"),
        ("text.mp4", "not a video"),
        ("sound.mp4", "only sound"),
        ("short.mp4", "--allow-truncated"),
    ],
)
@pytest.mark.media
def test_a_video_that_cannot_be_used(farm, tmp_path, style, video, says):
    files = broken(tmp_path)
    code, out, err = farm("render", files[video], "--style", style, "-o", tmp_path / "out.mp4")
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err
    assert not (tmp_path / "out.mp4").exists()
    assert not (tmp_path / "out.farm").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--frames", "50-10"], "did you mean 10-50?"),
        (["--frames", "5-1000"], "frames 5-1000 are not all there"),
        (["--size", "3"], "size: must be greater than or equal to 16, not 3"),
        (["--nosuch"], "No such option"),
        (["--codec", "nosuch"], "nosuch cannot be used"),
        (["--pixel-format", "pal8"], "does not take pixel format pal8"),
        (["--style", "nowhere.jpg"], "nowhere.jpg"),
        (["--style", "{text.jpg}"], "is not a picture"),
        (["-o", "{folder}/out.gif"], "does not end in a kind of film"),
        (["-o", "{folder}/no/out.mp4"], "does not exist"),
        (["-o", "/proc/out.mp4"], "the job directory cannot be used"),
        (["-o", "{clip}", "--overwrite"], "is the video itself"),
        (["--job", "nosuch://bucket/x"], "cannot be used"),
        (["--iterations", "many"], "write it as FIRST,NEXT"),
        (["--region", "mask.png"], "write 'mask.png' as MASK=STYLE"),
        (["--region", "nowhere.png=none"], "there is no picture"),
        (["--region", "{text.jpg}=none"], "is not a picture"),
        (["--region", "nowhere.mp4=none"], "nowhere.mp4 does not exist"),
        (["--region", "nowhere.mp4@3=none"], "is a video, read frame by frame"),
        (["--region", "{white}@99=none"], "is for frame 99, and frames 0-11 are rendered"),
        (["--region", "{white}=nowhere.jpg"], "nowhere.jpg"),
        *PAINT_FAULTS,
    ],
)
def test_options_that_cannot_be_used(farm, tmp_path, clip, style, options, says):
    files = broken(tmp_path)
    Image.new("L", (20, 20), 255).save(tmp_path / "white.png")
    named = {"folder": tmp_path, "clip": clip, "text.jpg": files["text.jpg"], "white": tmp_path / "white.png"}
    for name, path in named.items():
        options = [option.replace("{" + name + "}", str(path)) for option in options]
    given = [] if "--style" in options else ["--style", style]
    given += [] if "-o" in options else ["-o", tmp_path / "out.mp4"]
    code, out, err = farm("render", clip, *given, *options)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err
    assert not (tmp_path / "out.mp4").exists()


def test_an_unknown_option_in_a_spec_file(farm, tmp_path):
    (tmp_path / "job.yaml").write_text("video: a.mp4\nstyles: [b.jpg]\noutput: c.mp4\ncolour: none\n")
    code, _, err = farm("render", "--spec", tmp_path / "job.yaml")
    assert code == 2
    assert "colour: no such option; farm schema prints the ones there are" in err


def test_plan_as_json_and_as_text(farm, tmp_path, clip):
    code, out, err = farm("plan", clip, "--chunk-frames", 5, "--overlap", 1, "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert [(chunk["start"], chunk["stop"]) for chunk in told["chunks"]] == [
        (0, 4),
        (4, 8),
        (8, 12),
    ]
    assert told["work"]["steps"] > 0
    code, out, _ = farm("plan", clip, "--chunk-frames", 5, "--overlap", 1)
    assert code == 0
    assert "1 shots, 3 chunks, 5 passes" in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--style", "none.png"], "there is no picture"),
        (["--style", "{style}", "--region", "none.png={style}"], "there is no picture"),
        (["--method", "instant", "--network", "none.safetensors"], "there is no network"),
        (["--flow-dir", "none"], "flow directory"),
    ],
)
def test_a_plan_needs_the_files_that_are_named(farm, tmp_path, clip, style, options, says):
    named = [word.replace("none", f"{tmp_path}/none").replace("{style}", str(style)) for word in options]
    code, out, err = farm("plan", clip, *named)
    assert (code, out) == (2, "")
    assert err.startswith("farm: ")
    assert says in err
    assert f"{tmp_path}/none" in err


def test_a_plan_draws_a_timeline(farm, tmp_path, clip, style):
    file = tmp_path / "t.yaml"
    file.write_text(f"- {{at: 0, styles: {style}}}\n- {{at: 0.5s, styles: none}}\n")
    code, out, err = farm("plan", clip, "--timeline", file)
    assert (code, err) == (0, "")
    drawn = [line.split() for line in out.splitlines() if line.startswith(("  style.png", "  photograph"))]
    assert [(name, row[0], row[6:]) for name, row in drawn] == [
        ("style.png", "#", "......"),
        ("photograph", ".", "######"),
    ]
    code, out, _ = farm("plan", clip, "--timeline", file, "--json")
    assert (code, json.loads(out)["timeline"]["points"]) == (0, [0, 6])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- {at: 0, styles: {style}}\n- {at: 12, styles: none}", "timeline.points[1] (at 12) is not in the film"),
        ("- {at: 0, styles: nowhere.png}", "timeline.points[0]: there is no picture"),
        ("- {at: 5, styles: {style}}\n- {at: 4, styles: none}", "points[1] (at 4) does not come after points[0]"),
        ("- {at: 0, styles: {style}, stile: 1}", "points[0].stile: no such option"),
        ("- {at: 0, styles: ['{style}:0']}", "points[0].styles: the styles all weigh nothing"),
        ("- {at: 0, styles: {style}, weights: {style: 0, content: 0}}", "timeline.points[0]: content and style both"),
    ],
)
@pytest.mark.parametrize("command", ["plan", "render"])
def test_a_timeline_that_cannot_be_used_names_the_point(farm, tmp_path, clip, style, command, text, says):
    file = tmp_path / "t.yaml"
    file.write_text(text.replace("{style}", str(style)))
    code, out, err = farm(command, clip, "--timeline", file, "-o", tmp_path / "out.mp4")
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["t.yaml"]


def test_schema_is_the_specs(farm):
    code, out, _ = farm("schema")
    assert code == 0
    assert json.loads(out) == RenderSpec.model_json_schema()


def test_status_of_nothing(farm, tmp_path):
    code, _, err = farm("status", tmp_path)
    assert code == 2
    assert "holds no job" in err


def test_help_needs_no_input_and_names_the_commands(farm):
    code, out, _ = farm("--help")
    assert code == 0
    for command in ("render", "plan", "status", "stylize", "flow", "doctor", "demo", "schema"):
        assert command in out


@pytest.mark.parametrize(
    ("command", "old", "new"),
    [
        ("render", "--spare-storage", "--save-storage"),
        ("submit", "--spare-storage", "--save-storage"),
        ("submit", "--stage", "--copy-inputs"),
    ],
)
def test_old_names_of_options_mean_the_new_ones(farm, monkeypatch, command, old, new):
    calls = []
    monkeypatch.setattr(get_command(app).commands[command].__class__, "invoke", lambda _, ctx: calls.append(ctx.params))
    for name in (old, new):
        assert farm(command, "film.mp4", name)[0] == 0
    assert calls[0] == calls[1]
    assert [name for name, value in calls[0].items() if value is True] == [new.removeprefix("--").replace("-", "_")]


def test_stylize_a_still(farm, tmp_path, style):
    picture = np.tile(np.linspace(0, 255, 64, dtype=np.uint8)[None, :, None], (48, 1, 3))
    Image.fromarray(picture).save(tmp_path / "in.png")
    command = ("stylize", tmp_path / "in.png", "--style", style, "-o", tmp_path / "out.png", "--iterations", 3)
    code, out, _ = farm(*command, "--json")
    assert code == 0
    told = json.loads(out)
    assert (told["size"], told["steps"]) == ([64, 48], 3)
    with Image.open(tmp_path / "out.png") as made:
        painted = np.asarray(made)
    assert painted.shape == (48, 64, 3)
    assert np.abs(painted.astype(int) - picture).mean() > 1
    code, _, err = farm(*command)
    assert code == 2
    assert "--overwrite" in err


def test_stylize_with_16_bits_and_within_memory(farm, tmp_path, style):
    command = ("stylize", style, "--style", style, "--iterations", 1, "-o")
    code, _, err = farm(*command, tmp_path / "deep.png", "--bit-depth", 16, "--max-memory", "4GiB")
    assert (code, err.strip()) == (0, "")
    header = (tmp_path / "deep.png").read_bytes()[:33]
    assert (header[24], header[25]) == (16, 2)  # bits, RGB
    code, _, err = farm(*command, tmp_path / "small.png", "--max-memory", "300MB")
    assert code == 1
    assert "--max-memory" in err
    code, _, err = farm(*command, tmp_path / "small.png", "--max-memory", "lots")
    assert code == 2
    assert "6GiB" in err
    for wrong in (("deep.jpg", "--bit-depth", 16), ("deep.png", "--bit-depth", 12)):
        code, _, err = farm(*command, tmp_path / wrong[0], *wrong[1:], "--overwrite")
        assert code == 2
        assert "bit" in err


def test_stylize_with_regions(farm, tmp_path, style):
    picture = np.tile(np.linspace(0, 255, 64, dtype=np.uint8)[None, :, None], (48, 1, 3))
    mask = np.zeros((96, 128), np.uint8)
    mask[:, :64] = 255
    Image.fromarray(picture).save(tmp_path / "in.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    command = ("stylize", tmp_path / "in.png", "--style", style, "-o", tmp_path / "out.png", "--iterations", 3)
    code, _, err = farm(*command, "--region", f"{tmp_path}/mask.png@4=none")
    assert code == 2
    assert "the mask of a still is a picture without a frame" in err
    assert farm(*command, "--region", f"{tmp_path}/mask.png=none")[0] == 0
    with Image.open(tmp_path / "out.png") as made:
        painted = np.asarray(made)
    assert np.array_equal(painted[:, :32], picture[:, :32])
    assert np.abs(painted[:, 38:].astype(int) - picture[:, 38:]).mean() > 1


@pytest.mark.parametrize(("options", "says"), PAINT_FAULTS)
@pytest.mark.media
def test_stylize_with_options_that_cannot_be_used(farm, tmp_path, style, options, says):
    files = broken(tmp_path)
    for name, path in {"folder": tmp_path, "text.jpg": files["text.jpg"]}.items():
        options = [option.replace("{" + name + "}", str(path)) for option in options]
    code, out, err = farm("stylize", style, "--style", style, "-o", tmp_path / "out.png", *options)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(("output", "says"), [("out.gif", ".png"), ("no/out.png", "does not exist")])
def test_stylize_where_it_cannot_write(farm, tmp_path, style, output, says):
    code, _, err = farm("stylize", style, "--style", style, "-o", tmp_path / output)
    assert code == 2
    assert says in err


def test_flow_estimate_and_check(farm, tmp_path):
    rng = np.random.default_rng(0)
    wide = np.kron(rng.integers(0, 255, (16, 20, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    Image.fromarray(wide[:, :72]).save(tmp_path / "a.png")
    Image.fromarray(wide[:, 4:76]).save(tmp_path / "b.png")
    for one, other, name in (("a", "b", "forward"), ("b", "a", "backward")):
        code, _, err = farm(
            "flow", "estimate", tmp_path / f"{one}.png", tmp_path / f"{other}.png", "-o", tmp_path / f"{name}.flo"
        )
        assert (code, err) == (0, "")
    code, _, _ = farm("flow", "check", tmp_path / "backward.flo", tmp_path / "forward.flo", "-o", tmp_path / "mask.pgm")
    assert code == 0
    mask = (tmp_path / "mask.pgm").read_bytes()
    assert mask.startswith(b"P5\n72 64\n255\n")
    assert np.median(np.frombuffer(mask[-72 * 64 :], np.uint8)) > 200


@pytest.mark.process
def test_doctor_finds_what_the_tests_run_on(farm):
    code, out, _ = farm("doctor", "--json")
    assert code == 0
    states = {check["name"]: check["state"] for check in json.loads(out)}
    assert states["ffmpeg"] == states["weights"] == states["torch"] == "ok"


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_interrupted_exits_with_3_and_one_line(farm, monkeypatch, kind):
    """Typer makes a number of the KeyboardInterrupt, and returns it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    monkeypatch.setattr("farm.cli.main.film_spec", lambda *_: signal.raise_signal(kind))
    try:
        assert farm("bench", "film.mp4", "--style", "style.png") == (3, "", "farm: stopped\n")
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_exit_code_of_a_command_that_printed_its_answer_is_the_process_s(farm, monkeypatch):
    """`farm status --verify` and `farm doctor` print what they found, and tell by their exit code that it is bad."""

    def answer() -> None:
        print("1 damaged")
        raise typer.Exit(1)

    monkeypatch.setattr(app, "registered_commands", [*app.registered_commands])
    app.command("answer")(answer)
    assert farm("answer") == (1, "1 damaged\n", "")
