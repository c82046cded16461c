"""Flow kept in the job directory: measured once, composed over distance, mended when damaged."""

import numpy as np
import pytest

from farm.errors import FlowFileError
from farm.files import Storage
from farm.flow import match_both_ways
from farm.flow.store import FlowStore, _bytes, field_name
from farm.plan import plan_render
from farm.render.prepare import _check_flow_files
from tests.plan.test_render_plan import make_probe, make_spec


class Drift:
    """The scene moves by `dx` pixels a frame; counts how often it is asked."""

    def __init__(self, dx: float = 1.5) -> None:
        self.dx, self.asked = dx, []

    def __call__(self, source: int, target: int):
        self.asked.append((source, target))
        return match_both_ways([(self.field(source, target), self.field(target, source))])

    def field(self, source: int, target: int) -> np.ndarray:
        flow = np.zeros((24, 32, 2), np.float32)
        flow[..., 0] = self.dx * (target - source)
        return flow


@pytest.fixture
def folder(tmp_path):
    return Storage(str(tmp_path / "flow"))


@pytest.mark.parametrize(("source", "target"), [(3, 4), (4, 3), (10, 0), (0, 7), (25, 24)])
def test_flow_over_any_distance_is_composed_of_neighbours(folder, source, target):
    store = FlowStore(folder, Drift())
    flow = store.flow(source, target)
    assert np.allclose(flow[..., 0], 1.5 * (target - source), atol=1e-3)
    assert np.allclose(flow[..., 1], 0)


def test_what_was_hidden_on_the_way_is_found_by_direct_flow(folder):
    """A pixel column is covered by something moving at frame 1: the chain loses it, direct flow does not."""

    def field(source, target):
        flow = np.zeros((24, 32, 2), np.float32)
        if 1 in (source, target):
            flow[:, 12:20, 0] = 9 if source == 1 else -7
        return flow

    def measure(source, target):
        return match_both_ways([(field(source, target), field(target, source))])

    store = FlowStore(folder, measure)
    assert store.weights(2, 1)[12, 15] == 0
    assert store.weights(2, 0)[12, 15] > 0.9
    assert np.allclose(store.flow(2, 0)[12, 15], 0)
    only_neighbours = FlowStore(folder.below("x"), lambda a, b: measure(a, b) if abs(a - b) == 1 else None)
    assert only_neighbours.weights(2, 0)[12, 15] == 0


def test_the_mask_is_kept_with_the_field_both_ways(folder):
    first = FlowStore(folder, Drift()).match(1, 0)
    again = Drift()
    store = FlowStore(folder, again)
    assert np.array_equal(store.weights(1, 0), first.weight)
    assert store.weights(0, 1)[12, 16] > 0.99
    assert again.asked == []


def test_what_is_kept_is_not_measured_again(folder):
    FlowStore(folder, Drift()).flow(5, 0)
    again = Drift()
    assert FlowStore(folder, again).flow(5, 0)[0, 0, 0] == pytest.approx(-7.5)
    assert again.asked == []


def test_the_stored_field_is_what_is_used_also_by_whoever_measured_it(folder):
    measured = Drift(dx=0.1234)
    first = FlowStore(folder, measured).flow(0, 1)
    assert np.array_equal(first, FlowStore(folder, measured).flow(0, 1))
    assert not np.array_equal(first, measured.field(0, 1))


def test_neighbours_have_one_file_and_folders_stay_small(folder):
    store = FlowStore(folder, Drift())
    for pair in ((1, 0), (0, 1), (99, 100), (101, 100), (101, 91)):
        store.flow(*pair)
    names = folder.names(".")
    assert {"0000/000000-000001.png", "0000/000099-000100.png", "0001/000100-000101.png"} < set(names)
    assert "0001/000101-000091.png" in names
    assert "0000/000091-000101.png" not in names, "nobody asked for it"


def test_a_field_that_is_written_behind_is_used_at_once_and_there_after_a_flush(folder):
    store = FlowStore(folder, Drift(), behind=True)
    asked = Drift()
    assert np.array_equal(store.flow(3, 2), FlowStore(folder.below("other"), Drift()).flow(3, 2))
    store.flush()
    assert FlowStore(folder, asked).flow(2, 3)[0, 0, 0] == pytest.approx(1.5)
    assert asked.asked == []


def test_what_was_read_ahead_is_not_read_again(folder, monkeypatch):
    FlowStore(folder, Drift()).flow(5, 0)
    reads: list[str] = []
    read = Storage.read
    monkeypatch.setattr(Storage, "read", lambda self, name: reads.append(name) or read(self, name))
    store = FlowStore(folder, Drift())
    store.read_ahead(5, 0)
    store.flow(5, 0)
    assert sorted(reads) == sorted({field_name(5, 0), *(field_name(at, at + 1) for at in range(5))})


@pytest.mark.parametrize("place", ["disk", "memory"])
def test_missing_fields_over_distance_are_asked_for_once_a_folder_on_object_storage(
    place, folder, tmp_path, monkeypatch
):
    storage = folder if place == "disk" else Storage(f"memory://{tmp_path.name}")
    FlowStore(storage, Drift()).flow(10, 0)
    reads: list[str] = []
    read = Storage.read
    monkeypatch.setattr(Storage, "read", lambda self, name: reads.append(name) or read(self, name))
    asked = Drift()
    store = FlowStore(storage, asked)
    for frame in (10, 11, 12):
        store.flow(frame, frame - 10)
    far = [name for name in reads if name in {field_name(frame, frame - 10) for frame in (10, 11, 12)}]
    assert len(far) == (3 if place == "disk" else 1)
    assert [pair for pair in asked.asked if abs(pair[0] - pair[1]) > 1] == [(11, 1), (12, 2)]


@pytest.mark.parametrize("damage", [b"", b"not a picture", None])
def test_a_damaged_field_is_measured_anew(folder, tmp_path, damage):
    FlowStore(folder, Drift()).flow(1, 0)
    file = tmp_path / "flow/0000/000000-000001.png"
    file.write_bytes(file.read_bytes()[:60] if damage is None else damage)
    asked = Drift()
    assert FlowStore(folder, asked).flow(1, 0)[0, 0, 0] == pytest.approx(-1.5)
    assert asked.asked == [(1, 0)]


def test_ensure_says_whether_it_had_to_measure(folder):
    store = FlowStore(folder, Drift())
    assert [store.ensure(1, 0), store.ensure(1, 0)] == [True, False]


def test_weights_are_full_inside_and_none_where_the_scene_left_the_picture(folder):
    weights = FlowStore(folder, Drift(dx=4)).weights(1, 0)
    assert weights[12, 16] > 0.99
    assert weights[:, 0].max() == 0


def test_the_cache_is_bounded(folder, monkeypatch):
    monkeypatch.setattr("farm.flow.store.CACHE_BYTES", 5 * 24 * 32 * 8)
    store = FlowStore(folder, Drift())
    for frame in range(1, 30):
        store.flow(frame, max(frame - 10, 0))
    assert sum(map(_bytes, store._cache.values())) <= 5 * 24 * 32 * 8


def test_a_missing_flow_file_is_named_before_rendering(tmp_path):
    plan = plan_render(make_spec(), make_probe(3), ())
    (tmp_path / "backward_2_1.flo").write_bytes(b"")
    with pytest.raises(FlowFileError, match=r"has no forward_1_2\.flo"):
        _check_flow_files(str(tmp_path), plan)
