"""A job's storage is a folder that nothing gets out of."""

import signal
import subprocess
import sys

import pytest

from farm.errors import StorageError
from farm.files import Storage

OUT = ["../out.txt", "/etc/out.txt", "frames/../../out.txt", "", "."]


@pytest.mark.parametrize("url", ["job", "memory://storage-test"])
@pytest.mark.parametrize("name", OUT)
def test_a_name_that_leads_out_is_refused(tmp_path, url, name):
    storage = Storage(url if "://" in url else str(tmp_path / url))
    (tmp_path / "film").write_bytes(b"film")
    (tmp_path / "out.txt").write_bytes(b"precious")
    for change in (
        lambda: storage.write(name, b"x"),
        lambda: storage.upload(tmp_path / "film", name),
        lambda: storage.remove(name),
    ):
        with pytest.raises(StorageError, match="leads out"):
            change()
    assert (tmp_path / "out.txt").read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film", "out.txt"]


def test_a_link_that_leads_out_is_not_followed(tmp_path):
    for name in ("job", "elsewhere"):
        (tmp_path / name).mkdir()
    (tmp_path / "elsewhere/000001.png").write_bytes(b"precious")
    (tmp_path / "job/frames").symlink_to(tmp_path / "elsewhere")
    storage = Storage(str(tmp_path / "job"))
    for change in (
        lambda: storage.write("frames/000001.png", b"x"),
        lambda: storage.write("frames/pass-1/000001.png", b"x"),
        lambda: storage.remove("frames/000001.png"),
    ):
        with pytest.raises(StorageError, match="leads out"):
            change()
    assert [path.read_bytes() for path in (tmp_path / "elsewhere").iterdir()] == [b"precious"]


def test_a_linked_file_is_replaced_and_what_it_pointed_to_is_left(tmp_path):
    (tmp_path / "job").mkdir()
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "job/state.json").symlink_to(tmp_path / "precious")
    Storage(str(tmp_path / "job")).write("state.json", b"{}")
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert not (tmp_path / "job/state.json").is_symlink()


def test_the_job_directory_itself_may_be_a_link_and_so_may_folders_within(tmp_path):
    (tmp_path / "large/ledger").mkdir(parents=True)
    (tmp_path / "job").symlink_to(tmp_path / "large")
    (tmp_path / "large/frames").symlink_to("ledger")
    storage = Storage(str(tmp_path / "job"))
    storage.write("frames/1.png", b"x")
    assert storage.read("ledger/1.png") == b"x"


def test_only_what_a_killed_writer_left_is_swept(tmp_path):
    left = ["job/frames/pass-1/00001/.000012.png.0123456789ab", "job/ledger/pass-1/.00001.json.ba9876543210"]
    kept = [
        *("job/frames/pass-1/00001/000012.png", "job/frames/pass-1/00001/.hidden", "job/frames/.12.png.0123456789aX"),
        *("job/.000012.png.0123456789ab", "job/inputs/.film.mp4.0123456789ab", "other/.000012.png.0123456789ab"),
    ]
    for name in left + kept:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / "job/flow").symlink_to(tmp_path / "other")
    (tmp_path / "job/ledger/.00002.json.0123456789ab").symlink_to(tmp_path / "other")
    Storage(str(tmp_path / "job")).sweep(("frames", "ledger", "flow", "masks"))
    assert not any((tmp_path / name).exists() for name in left)
    assert all((tmp_path / name).exists() for name in kept)
    assert (tmp_path / "job/ledger/.00002.json.0123456789ab").is_symlink()


@pytest.mark.process
def test_a_writer_that_is_killed_leaves_what_is_swept(tmp_path):
    """The name that a sweep knows is the one that is really there."""
    script = """if True:
        import os, signal, sys
        from farm.files.storage import Storage
        os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
        Storage(sys.argv[1]).write("ledger/pass-1/00002.json", b"{}")
    """
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)]).returncode == -signal.SIGKILL
    assert [path for path in tmp_path.rglob("*") if path.is_file()]
    Storage(str(tmp_path)).sweep(["ledger"])
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.fixture(params=["disk", "memory", pytest.param("s3", marks=pytest.mark.process)])
def storage(request, tmp_path) -> Storage:
    """The same contract for every kind of storage."""
    if request.param == "s3":
        request.getfixturevalue("object_storage")
    urls = {"disk": f"{tmp_path}/job", "memory": f"memory://{tmp_path.name}", "s3": f"s3://farm/{tmp_path.name}"}
    return Storage(urls[request.param])


def test_what_was_written_is_read_and_the_last_one_stands(storage):
    assert storage.read("frames/1.png") is None
    assert not storage.exists("frames/1.png")
    for data in (b"first", b"", b"\x00" * 70_000):
        storage.write("frames/1.png", data)
        assert storage.read("frames/1.png") == data
        assert Storage(storage.url).read("frames/1.png") == data, "nothing is kept in this object alone"
    assert storage.exists("frames/1.png")


def test_a_file_is_uploaded_whole(storage, tmp_path):
    (tmp_path / "film").write_bytes(b"film" * 50_000)
    storage.upload(tmp_path / "film", "inputs/film.mp4")
    assert storage.read("inputs/film.mp4") == b"film" * 50_000
    assert (tmp_path / "film").exists()


def test_names_are_sorted_at_any_depth_and_from_the_folder(storage):
    assert storage.names("frames") == []
    for name in ("frames/b/2.png", "frames/a.png", "frames/b/1.png", "other/x", "framesX"):
        storage.write(name, b"x")
    assert storage.names("frames") == ["frames/a.png", "frames/b/1.png", "frames/b/2.png"]


def test_what_is_removed_is_gone_and_nothing_else(storage):
    storage.write("a/1", b"x")
    storage.write("a/2", b"y")
    storage.remove("a/1")
    storage.remove("a/1")
    assert storage.names("a") == ["a/2"]


def test_a_folder_of_a_storage_is_a_storage(storage):
    storage.below("state").write("now", b"x")
    assert storage.read("state/now") == b"x"
    storage.below("state").remove("now")
    assert not storage.exists("state/now")


def test_a_sweep_leaves_whole_files(storage):
    storage.write("frames/1.png", b"x")
    storage.sweep(["frames", "nothing"])
    assert storage.names("frames") == ["frames/1.png"]


def test_the_age_of_a_file_is_told_by_the_storage_and_nothing_is_left(storage):
    storage.write("state.json", b"x")
    assert storage.age("state.json") == pytest.approx(0, abs=30)
    assert storage.age("missing") is None
    assert storage.names("") == ["state.json"]
