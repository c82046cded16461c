"""The options that make a spec: what is written on the command line, and what it means in the spec."""

from __future__ import annotations

import pytest
from pydantic import BaseModel
from typer.main import get_command

from farm.cli.fields import default_text, option, spec_field
from farm.cli.main import app
from farm.cli.options import FIELDS, FILM, PAINT, STILL, TRAIN, film_spec, still_spec, takes, train_spec
from farm.spec import Model, PaintSpec, RenderSpec, StillSpec, TrainSpec

WRITTEN = {
    "style": (["/a.jpg:2", "/b.jpg"], "styles"),
    "region": (["/m.png=none"], "regions"),
    "size": (64, "size"),
    "init": ("noise", "init"),
    "color": ("luminance", "color"),
    "style_scale": (2.0, "style_scale"),
    "style_weight": (7.0, "weights.style"),
    "content_weight": (8.0, "weights.content"),
    "tv_weight": (9.0, "weights.tv"),
    "content_layers": ("relu3_2:2", "content_layers"),
    "style_layers": ("relu1_2", "style_layers"),
    "optimizer": ("adam", "optimizer"),
    "learning_rate": (5.0, "learning_rate"),
    "features": ("/faces.pth", "features"),
    "features_input": ("caffe", "features_input"),
    "pooling": ("avg", "pooling"),
    "precision": ("fp32", "precision"),
    "max_memory": ("6GiB", "max_memory"),
    "seed": (3, "seed"),
}

NEEDED = {
    "render": {"video": "/v.mp4", "output": "/o.mp4", "style": ["/a.jpg"]},
    "stylize": {"image": "/i.jpg", "output": "/o.png", "style": ["/a.jpg"]},
    "train": {"photos": "/p", "output": "/n.safetensors", "style": ["/a.jpg"], "steps": 1},
}
"""The least that is written for a command."""

MADE = {
    "render": (RenderSpec, {**FILM, **PAINT}, film_spec),
    "stylize": (StillSpec, {**STILL, **PAINT}, still_spec),
    "train": (TrainSpec, TRAIN, train_spec),
}
"""The spec of a command, its options, and what makes one of the other."""

NO_FIELDS = ("spec", "keys_folder")
OPTIONS = [(command, name) for command, (_, table, _) in MADE.items() for name in table if name not in NO_FIELDS]


def parameter(command, name):
    return next(each for each in get_command(app).commands[command].params if each.name == name)


def value_at(spec, path):
    for part in path.split("."):
        spec = getattr(spec, part)
    return spec


def test_every_option_is_written_once_and_has_its_field():
    assert set(WRITTEN) == set(PAINT)
    sections = {FIELDS.get(name, name).split(".")[0] for name in (*PAINT, *FILM)} - set(NO_FIELDS)
    assert sections <= set(RenderSpec.model_fields)
    assert set(PaintSpec.model_fields) - sections == {"upscale"}
    assert set(STILL) <= set(StillSpec.model_fields)
    assert {FIELDS.get(name, name).split(".")[0] for name in TRAIN} <= set(TrainSpec.model_fields)


@pytest.mark.parametrize("name", WRITTEN)
def test_an_option_means_the_same_for_stills_and_films(name):
    value, field = WRITTEN[name]
    options = {"style": ["/a.jpg"], name: value}
    film = film_spec({"video": "/v.mp4", "output": "/o.mp4", **options})
    still = still_spec({"image": "/i.jpg", "output": "/o.png", **options})
    plain = film_spec({"video": "/v.mp4", "output": "/o.mp4", "style": ["/a.jpg"]})
    assert value_at(film, field) == value_at(still, field)
    assert value_at(film, field) != value_at(plain, field)


@pytest.mark.parametrize("command", ["render", "plan", "submit", "preview", "bench", "stylize"])
def test_commands_take_the_tables(command):
    names = {each.name for each in get_command(app).commands[command].params}
    assert names >= set(PAINT)
    assert names >= set(STILL if command == "stylize" else FILM)


@pytest.mark.parametrize(("command", "name"), OPTIONS)
def test_help_is_the_description_of_the_field(command, name):
    *sections, field = FIELDS.get(name, name).split(".")
    kind = MADE[command][0]
    for section in sections:
        kind = kind.model_fields[section].annotation
    assert parameter(command, name).help == kind.model_fields[field].description


@pytest.mark.parametrize(("command", "name"), OPTIONS)
def test_the_default_in_the_help_is_what_the_spec_has_without_the_option(command, name):
    """Writing the default that the help shows makes the same spec as writing nothing; with none shown there is none."""
    _, _, make = MADE[command]
    plain = make(NEEDED[command])
    shown = parameter(command, name).show_default
    if isinstance(shown, str):
        read = int if name == "bit_depth" else str  # the only text that the command line turns into a number first
        assert make({**NEEDED[command], name: read(shown)}) == plain
    elif name not in NEEDED[command]:
        assert value_at(plain, FIELDS.get(name, name)) in (None, (), False)


def test_the_help_shows_the_values_that_users_know():
    shown = {
        name: parameter("render", name).show_default for name in ("style_weight", "crf", "iterations", "long_term")
    }
    assert shown == {"style_weight": "100", "crf": "16", "iterations": "200,50", "long_term": "10,20,40"}
    assert parameter("stylize", "iterations").show_default == "300"
    assert parameter("train", "temporal_weight").show_default == "30000"
    assert parameter("train", "learning_rate").show_default == "0.003"


def test_a_section_of_the_spec_may_have_other_defaults_than_its_model():
    class Inner(Model):
        number: float = 1.0

    class Outer(Model):
        inner: Inner = Inner(number=2.0)

    assert spec_field(Outer, "inner.number").default == 2.0


def test_a_field_that_no_option_can_be_written_for():
    class Odd(BaseModel):
        field: dict[str, int] = {"a": 1}

    with pytest.raises(TypeError, match="needs a form"):
        option(Odd, "field", "--field")


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (1e-3, "0.001"), ((), ""), ({"a": 2.0}, "a:2"), (True, "True")]
)
def test_defaults_as_they_are_written(value, text):
    assert default_text(value) == text


def test_an_option_that_is_not_written_is_not_handed_on():
    received = []

    @takes({**FILM, **PAINT})
    def command(options, extra=None):
        received.append((options, extra))

    names = [*FILM, *PAINT]
    command(**{**dict.fromkeys(names), "crf": 0, "tv_weight": 0.0, "allow_truncated": True}, extra=5)
    assert received == [({"crf": 0, "tv_weight": 0.0, "allow_truncated": True}, 5)]


def test_options_override_the_spec_file_and_nothing_else_does(tmp_path):
    (tmp_path / "job.yaml").write_text(
        "video: a.mp4\nstyles: [b.jpg]\noutput: c.mp4\nallow_truncated: true\nweights: {style: 7, tv: 3}\n"
        "encode: {crf: 20}\niterations: 9,8\nregions: ['m.png=none']\n"
    )
    received = []

    @takes(FILM, PAINT)
    def command(options):
        received.append(film_spec(options))

    shared = dict.fromkeys((*FILM, *PAINT))
    command(**{**shared, "spec": tmp_path / "job.yaml"})
    command(**{**shared, "spec": tmp_path / "job.yaml", "style_weight": 50.0, "codec": "libx265"})
    plain, changed = received
    assert (plain.allow_truncated, plain.weights.style, plain.encode.crf) == (True, 7, 20)
    assert (plain.iterations.first, len(plain.regions)) == (9, 1)
    assert (changed.weights.style, changed.weights.tv) == (50, 3)
    assert (changed.encode.codec, changed.encode.crf) == ("libx265", 20)
