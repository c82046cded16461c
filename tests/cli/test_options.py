"""The tables of options: what is written on the command line, and what it means in the spec."""

from __future__ import annotations

import pytest
from typer.main import get_command

from farm.cli.main import app
from farm.cli.options import FILM, LISTS, PAINT, SECTIONS, STILL, film_spec, still_spec
from farm.spec.paint import PaintSpec, StillSpec
from farm.spec.render import RenderSpec

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


def test_every_option_is_written_once_and_has_its_field():
    assert set(WRITTEN) == set(PAINT)
    fields = {LISTS.get(name, name) for name in (*PAINT, *FILM) if name not in SECTIONS} - {"spec"}
    assert fields <= set(RenderSpec.model_fields)
    assert set(PaintSpec.model_fields) - fields == {"weights", "upscale"}
    assert {name for name in STILL} <= set(StillSpec.model_fields)


@pytest.mark.parametrize("name", WRITTEN)
def test_an_option_means_the_same_for_stills_and_films(name):
    value, field = WRITTEN[name]
    given = {"style": ["/a.jpg"], name: value}
    film = film_spec({"video": "/v.mp4", "output": "/o.mp4", **given})
    still = still_spec({"image": "/i.jpg", "output": "/o.png", **given})
    plain = film_spec({"video": "/v.mp4", "output": "/o.mp4", "style": ["/a.jpg"]})
    found, same, default = film, still, plain
    for part in field.split("."):
        found, same, default = (getattr(spec, part) for spec in (found, same, default))
    assert found == same
    assert found != default


@pytest.mark.parametrize("command", ["render", "plan", "submit", "stylize"])
def test_commands_take_the_tables(command):
    names = {parameter.name for parameter in get_command(app).commands[command].params}
    assert names >= set(PAINT)
    assert names >= set(STILL if command == "stylize" else FILM)
