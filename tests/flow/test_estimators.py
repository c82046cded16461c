"""One contract for all estimators: they find a known motion, repeatably, at any size, on any number of threads."""

from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest
import torch
from torchvision.models.optical_flow import raft_large, raft_small

from farm.errors import UsageError, WeightsError
from farm.flow import FLOW_METHODS, create_estimator, end_point_error, warp

# Mean end-point error in px, 8 px or more from the edge.
TOLERANCE = {
    "dis": {"still": 0.001, "translation": 0.01, "rotation": 0.04, "zoom": 0.04},
    "deepflow": {"still": 0.001, "translation": 0.02, "rotation": 0.04, "zoom": 0.04},
    "epicflow": {"still": 0.005, "translation": 0.01, "rotation": 0.04, "zoom": 0.04},
    "farneback": {"still": 0.001, "translation": 0.02, "rotation": 0.08, "zoom": 0.08},
}
LEARNED = ["raft"]
METHODS = [method for method in FLOW_METHODS if method not in LEARNED]


@pytest.fixture(scope="session")
def raft_weights(tmp_path_factory):
    """An untrained network: it finds no motion, and takes the same way through the code as a trained one."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "raft_small.pth"
    torch.save(raft_small(weights=None).state_dict(), path)
    return path


@pytest.fixture
def estimator(request, raft_weights):
    return create_estimator(request.param, weights=str(raft_weights) if request.param in LEARNED else None)


every_estimator = pytest.mark.parametrize("estimator", FLOW_METHODS, indirect=True)


@pytest.fixture
def cv2_threads():
    before = cv2.getNumThreads()
    yield cv2.setNumThreads
    cv2.setNumThreads(before)


def test_the_tolerances_cover_every_method():
    assert set(TOLERANCE) == set(METHODS)


@pytest.mark.parametrize("motion", ["still", "translation", "rotation", "zoom"])
@pytest.mark.parametrize("method", METHODS)
def test_a_known_motion_is_found(method, motion, textured_pair):
    pair = textured_pair(motion)
    flow = create_estimator(method).estimate(pair.a, pair.b)
    assert end_point_error(flow, pair.truth, pair.interior(8)) <= TOLERANCE[method][motion]


@pytest.mark.parametrize("method", METHODS)
def test_the_flow_leads_from_the_first_picture_to_the_second(method, textured_pair):
    pair = textured_pair("translation")
    aligned = warp(pair.b, create_estimator(method).estimate(pair.a, pair.b))
    inner = pair.interior(8)
    moved = np.abs(pair.b.astype(float) - pair.a)[inner].mean()
    assert np.abs(aligned - pair.a)[inner].mean() < moved / 10


@every_estimator
def test_shape_type_and_name(estimator, textured_pair):
    pair = textured_pair("zoom", 17, 33)
    flow = estimator.estimate(pair.a, pair.b)
    assert (flow.shape, flow.dtype) == ((17, 33, 2), np.float32)
    assert flow.flags.c_contiguous
    assert estimator.name in FLOW_METHODS


@every_estimator
def test_the_same_twice_and_on_one_two_or_four_threads(estimator, textured_pair, cv2_threads):
    pair = textured_pair("rotation")
    flows = []
    for threads in (1, 2, 4, 4):
        cv2_threads(threads)
        flows.append(estimator.estimate(pair.a, pair.b))
    for flow in flows[1:]:
        np.testing.assert_array_equal(flow, flows[0])


@pytest.mark.parametrize(("height", "width"), [(16, 16), (1, 1), (65, 127), (3, 200)])
@every_estimator
def test_odd_and_small_sizes(estimator, height, width, textured_pair):
    pair = textured_pair("still", height, width)
    flow = estimator.estimate(pair.a, pair.b)
    assert flow.shape == (height, width, 2)
    assert np.isfinite(flow).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_motion_in_a_picture_of_24_pixels(method, textured_pair):
    pair = textured_pair("translation", 24, 24)
    flow = create_estimator(method).estimate(pair.a, pair.b)
    assert end_point_error(flow, pair.truth, pair.interior(6)) < 0.1


@every_estimator
def test_a_flat_picture_gives_a_finite_flow(estimator):
    gray, bright = np.full((48, 64, 3), 90, np.uint8), np.full((48, 64, 3), 200, np.uint8)
    assert np.isfinite(estimator.estimate(gray, bright)).all()


@every_estimator
def test_a_cut_gives_a_finite_flow(estimator):
    generator = np.random.default_rng(1)
    a, b = (generator.integers(0, 256, (64, 64, 3), np.uint8) for _ in range(2))
    assert np.isfinite(estimator.estimate(a, b)).all()


@every_estimator
def test_pictures_are_left_as_they_are(estimator, textured_pair):
    pair = textured_pair("translation", 64, 64)
    a, b = pair.a.copy(), pair.b.copy()
    estimator.estimate(pair.a, pair.b)
    np.testing.assert_array_equal(pair.a, a)
    np.testing.assert_array_equal(pair.b, b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.zeros((20, 20, 3), np.uint8), np.zeros((20, 21, 3), np.uint8)),
        (np.zeros((20, 20, 3), np.float32), np.zeros((20, 20, 3), np.float32)),
        (np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.uint8)),
        (np.zeros((20, 20, 4), np.uint8), np.zeros((20, 20, 4), np.uint8)),
    ],
)
def test_other_pictures_are_refused(a, b):
    with pytest.raises(ValueError, match="two uint8 pictures of one size"):
        create_estimator("dis").estimate(a, b)


@every_estimator
def test_estimators_travel_between_processes(estimator, textured_pair):
    pair = textured_pair("zoom", 64, 64)
    copy = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(copy.estimate(pair.a, pair.b), estimator.estimate(pair.a, pair.b))


def test_epicflow_follows_motion_boundaries_better_than_plain_search(textured_pair):
    """A foreground that moves against its background: the interpolation stops at the edge of the picture."""
    back, front = textured_pair("translation", 128, 128), textured_pair("still", 128, 128)
    disc = np.hypot(*(np.mgrid[:128, :128] - 63.5)) < 30
    brighter = np.clip(front.b[::-1].astype(int) + 70, 0, 255).astype(np.uint8)
    a = np.where(disc[..., None], brighter, back.a)
    b = np.where(disc[..., None], brighter, back.b)
    truth = np.where(disc[..., None], front.truth, back.truth)
    radius = np.hypot(*(np.mgrid[:128, :128] - 63.5))
    rim = (radius > 24) & (radius < 36)
    errors = {m: end_point_error(create_estimator(m).estimate(a, b), truth, rim) for m in ("epicflow", "dis")}
    assert errors["epicflow"] < errors["dis"]


def cut_from_a_still(height, width, dx, dy):
    """Two pictures cut from one, so that their flow is (dx, dy) everywhere to the last bit, as in scrolling titles."""
    noise = np.random.default_rng(0).integers(0, 256, (height + dy, width + dx, 3), np.uint8)
    still = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)
    return np.ascontiguousarray(still[dy:, dx:]), np.ascontiguousarray(still[:height, :width])


@pytest.mark.parametrize("method", METHODS)
def test_an_exactly_uniform_motion(method):
    a, b = cut_from_a_still(96, 128, dx=2, dy=3)
    flow = create_estimator(method).estimate(a, b)
    np.testing.assert_allclose(flow[8:-8, 8:-8], np.broadcast_to(np.array([2, 3], np.float32), (80, 112, 2)), atol=0.1)


@pytest.mark.heavy
def test_epicflow_in_a_large_picture():
    """OpenCV's interpolator refuses 32767 matches or more; at every fourth pixel this picture has 34560."""
    a, b = cut_from_a_still(576, 960, dx=2, dy=0)
    flow = create_estimator("epicflow").estimate(a, b)
    np.testing.assert_allclose(flow[:, :-8], np.broadcast_to(np.array([2, 0], np.float32), (576, 952, 2)), atol=0.2)


def test_an_unknown_method():
    with pytest.raises(UsageError, match="choose one of dis, deepflow, epicflow, farneback, raft"):
        create_estimator("horn-schunck")


def test_raft_without_weights():
    with pytest.raises(WeightsError, match="--flow-weights FILE"):
        create_estimator("raft")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "there is no file"),
        (b"not a network", "cannot be read as a file of weights"),
        ([1, 2], "is not a state dict"),
        ({"conv.weight": torch.zeros(3)}, "holds no weights of RAFT"),
    ],
)
def test_raft_with_a_file_that_is_none(content, problem, tmp_path):
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(WeightsError, match=problem):
        create_estimator("raft", weights=str(path))


@pytest.mark.heavy
def test_raft_large_is_told_from_raft_small(tmp_path, textured_pair):
    torch.manual_seed(0)
    network = raft_large(weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "large.pth")
    pair = textured_pair("zoom", 128, 136)
    flow = create_estimator("raft", weights=str(tmp_path / "large.pth")).estimate(pair.a, pair.b)
    with torch.inference_mode():
        a, b = (torch.from_numpy(p).permute(2, 0, 1)[None] / 127.5 - 1 for p in (pair.a, pair.b))
        expected = network(a, b, num_flow_updates=12)[-1][0].permute(1, 2, 0)
    np.testing.assert_allclose(flow, expected, atol=1e-3)


def test_raft_reads_safetensors(raft_weights, tmp_path, textured_pair):
    safetensors = pytest.importorskip("safetensors.torch")
    path = tmp_path / "raft_small.safetensors"
    safetensors.save_file(torch.load(raft_weights, weights_only=True), path)
    pair = textured_pair("zoom", 64, 64)
    flows = [create_estimator("raft", weights=str(p)).estimate(pair.a, pair.b) for p in (path, raft_weights)]
    np.testing.assert_array_equal(*flows)
