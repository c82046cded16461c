"""Which files a spec reads, and the same spec with them elsewhere."""

from __future__ import annotations

from pathlib import Path

import fsspec

from farm.spec import StillSpec, build_spec
from farm.spec.named_files import input_files, picture_files, with_files, with_small_files_here

FILM = {
    "video": "/film.mp4",
    "output": "/out.mp4",
    "styles": ["/wave.jpg:2", "/star.jpg"],
    "regions": ["/cat.png@3=/shout.jpg:3,/star.jpg", "/sky.mp4=none"],
    "init": "/start.png",
    "features": "/faces.pth",
    "flow": "raft",
    "flow_weights": "/raft.pth",
    "flow_dir": "/flow",
}
PICTURES = {"/wave.jpg", "/star.jpg", "/shout.jpg", "/start.png"}
FILES = {*PICTURES, "/film.mp4", "/cat.png", "/sky.mp4", "/faces.pth", "/raft.pth"}


def test_every_file_once():
    found = input_files(build_spec(FILM))
    assert set(found) == FILES
    assert len(found) == len(FILES)
    assert set(picture_files(build_spec(FILM))) == PICTURES


def test_words_are_no_files():
    plain = build_spec({"video": "/film.mp4", "output": "/out.mp4", "styles": ["/wave.jpg"], "init": "noise"})
    assert set(input_files(plain)) == {"/film.mp4", "/wave.jpg"}
    assert set(input_files(StillSpec(image="/in.png", output="/o.png", styles=["/wave.jpg"]))) == {
        "/in.png",
        "/wave.jpg",
    }


def test_the_same_spec_with_its_files_elsewhere():
    spec = build_spec(FILM)
    moved = with_files(spec, lambda path: f"/elsewhere{path}")
    assert set(input_files(moved)) == {f"/elsewhere{path}" for path in FILES}
    assert with_files(moved, lambda path: path.removeprefix("/elsewhere")) == spec
    assert (moved.styles[0].weight, moved.regions[0].frame, moved.regions[0].styles[0].weight) == (2, 3, 3)


def test_pictures_and_weights_on_object_storage_are_fetched_and_films_are_not():
    storage = fsspec.filesystem("memory")
    for path in FILES:
        storage.pipe_file(f"/inputs{path}", path.encode())
    spec = with_files(build_spec(FILM), lambda path: f"memory://inputs{path}")
    here = with_small_files_here(spec)
    assert (here.video, here.regions[1].mask) == (spec.video, spec.regions[1].mask)
    for path in set(input_files(here)) - {here.video, here.regions[1].mask}:
        assert path.endswith(Path(path).read_text().removeprefix("/"))
