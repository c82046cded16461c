"""A training spread by Ray Train over two real workers, beside the same in one process."""

from __future__ import annotations

import pytest
import torch

from farm.cluster.training import train_on_ray
from farm.errors import UsageError
from farm.instant.networkfile import load_network_file
from farm.instant.train import train_network
from tests.instant.conftest import photos
from tests.instant.test_training import make_spec

__all__ = ["photos"]


@pytest.mark.usefixtures("ray_here")
def test_two_workers_come_to_what_one_comes_to(style, photos, tmp_path):
    # not at the top: Ray may not be imported before it is started
    pytest.importorskip("ray.train", reason="pip install 'farm[train]'")
    options = {"photos": str(photos), "batch": 2, "steps": 4}
    alone = train_network(make_spec(style, tmp_path / "alone.safetensors", **options), threads=1)
    both = train_on_ray(make_spec(style, tmp_path / "both.safetensors", **options), 2, threads=1)
    assert both["steps"] == alone["steps"] == 4
    for name in ("total", "style", "content"):
        assert both["losses"][name] == pytest.approx(alone["losses"][name], rel=0.01)
    one, two = (load_network_file(tmp_path / f"{name}.safetensors")[0].state_dict() for name in ("alone", "both"))
    far = [name for name, value in one.items() if not torch.allclose(value, two[name], atol=2e-3)]
    assert not far
    assert not (tmp_path / "both.train" / "ray").exists()


def test_a_batch_that_cannot_be_shared_is_refused(style, photos, tmp_path):
    with pytest.raises(UsageError, match="cannot share a batch of 3; give --batch 2"):
        train_on_ray(make_spec(style, tmp_path / "n.safetensors", photos=str(photos), batch=3), 2)
