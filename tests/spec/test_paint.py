"""What stills and films have in common, as it is written."""

from __future__ import annotations

import pytest

from farm.errors import UsageError
from farm.spec.load import build_spec, load_spec, spec_differences, validated
from farm.spec.paint import StillSpec

FILM = {"video": "in.mp4", "styles": ["wave.jpg"], "output": "out.mp4"}


def test_defaults_are_those_of_the_losses():
    from farm.paint.losses import functional as losses

    spec = build_spec(FILM)
    assert spec.content_layers == {"relu4_2": 1.0}
    assert spec.style_layers == dict.fromkeys(("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"), 1.0)
    assert spec.weights.model_dump() == {"content": 5.0, "style": 100.0, "temporal": 1000.0, "tv": 0.0}
    assert losses.CONTENT_LAYERS == ("relu4_2",)
    assert tuple(spec.style_layers) == losses.STYLE_LAYERS
    weights = (losses.CONTENT_WEIGHT, losses.STYLE_WEIGHT, losses.TEMPORAL_WEIGHT, losses.TV_WEIGHT)
    assert weights == (5.0, 100.0, 1000.0, 0.0)


@pytest.mark.parametrize(
    ("written", "layers"),
    [
        ("relu4_2", {"relu4_2": 1}),
        ("relu1_1, relu2_1:.5,relu3_1:1e3", {"relu1_1": 1, "relu2_1": 0.5, "relu3_1": 1000}),
        (["relu1_1", "relu2_1:2"], {"relu1_1": 1, "relu2_1": 2}),
        ({"relu5_4": 3}, {"relu5_4": 3}),
    ],
)
def test_layers_as_text_list_and_mapping(written, layers):
    spec = build_spec({**FILM, "style_layers": written})
    assert spec.style_layers == layers
    assert type(spec).model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"style_layers": "relu9_1"}, "style_layers: there is no layer 'relu9_1'; write relu1_1 to relu5_4"),
        ({"style_layers": "conv1_1"}, "style_layers: there is no layer 'conv1_1'"),
        ({"style_layers": ""}, "style_layers: there is no layer ''"),
        ({"style_layers": {}}, "style_layers: name a layer, for example relu4_2"),
        ({"style_layers": "relu1_1,relu1_1:2"}, "style_layers: a layer is named twice"),
        ({"content_layers": "relu1_1:0"}, "content_layers: relu1_1 weighs nothing; leave it out"),
        ({"content_layers": "relu1_1:heavy"}, "content_layers.relu1_1: must be a valid number"),
        ({"content_layers": "relu1_1:-1"}, "content_layers.relu1_1: must be greater than or equal to 0"),
        ({"content_layers": "relu1_1:inf"}, "content_layers.relu1_1: must be a finite number"),
        ({"content_layers": 3}, "content_layers: must be a valid dictionary"),
        ({"color": "sepia"}, "color: must be 'none', 'match', 'match-cholesky' or 'luminance', not 'sepia'"),
        ({"optimizer": "sgd"}, "optimizer: must be 'lbfgs' or 'adam', not 'sgd'"),
        ({"learning_rate": 0}, "learning_rate: must be greater than 0, not 0"),
        ({"pooling": "min"}, "pooling: must be 'max' or 'avg', not 'min'"),
        ({"weights": {"tv": -1}}, "weights.tv: must be greater than or equal to 0, not -1"),
        ({"weights": {"style": float("nan")}}, "weights.style: must be a finite number"),
        ({"weights": {"style": 0, "content": 0}}, "weights: content and style both weigh nothing"),
        ({"init": ""}, "init: String should have at least 1 character"),
        ({"features_input": "bgr"}, "features_input: must be 'auto', 'caffe' or 'torchvision', not 'bgr'"),
        ({"seed": -1}, "seed: must be greater than or equal to 0, not -1"),
    ],
)
def test_each_fault_is_one_line_for_films_and_stills_alike(change, says):
    still = {"image": "in.jpg", "styles": ["wave.jpg"], "output": "out.png"}
    for build in (lambda: build_spec({**FILM, **change}), lambda: validated(StillSpec, {**still, **change})):
        with pytest.raises(UsageError) as caught:
            build()
        assert str(caught.value).startswith(says)
        assert "\n" not in str(caught.value)


def test_paths_and_words_in_a_file(tmp_path):
    text = "video: a.mp4\noutput: b.mp4\nstyles: [c.jpg]\n"
    (tmp_path / "job.yaml").write_text(text + "init: start.png\nfeatures: faces.pth\n")
    spec = load_spec(tmp_path / "job.yaml")
    assert (spec.init, spec.features) == (str(tmp_path / "start.png"), str(tmp_path / "faces.pth"))
    (tmp_path / "job.yaml").write_text(text + "init: noise\nfeatures: vgg19\nstyle_layers: {relu1_1: 2}\n")
    spec = load_spec(tmp_path / "job.yaml", {"style_layers": "relu2_1"})
    assert (spec.init, spec.features, spec.style_layers) == ("noise", "vgg19", {"relu2_1": 1})
    (tmp_path / "job.yaml").write_text(text + "init: ./noise\n")
    assert load_spec(tmp_path / "job.yaml").init == str(tmp_path / "noise")


def test_another_layer_is_another_render():
    old, new = (build_spec({**FILM, "style_layers": layers}) for layers in ("relu1_1", "relu1_1:2,relu2_1"))
    assert spec_differences(old, new) == ["style_layers.relu1_1: 1.0 -> 2.0", "style_layers.relu2_1: None -> 1.0"]
