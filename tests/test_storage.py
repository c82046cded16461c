"""A job's storage is a folder that nothing gets out of."""

import pytest

from farm.errors import StorageError
from farm.storage import Storage

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
