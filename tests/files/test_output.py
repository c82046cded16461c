"""Where a film may be put, and that it is there whole or not at all."""

import pytest

from farm.errors import OutputError
from farm.files import Storage
from farm.files.atomic import check_can_write
from farm.files.output import (
    beside,
    check_can_put,
    check_output_kind,
    job_beside,
    output_sha256,
    output_size,
    put_when_whole,
)


@pytest.mark.parametrize(
    "output",
    ["http://host/x.mp4", "https://host/x.mp4", "ftp://host/x.mp4", "file:///x.mp4", "s3://x.mp4", "what://a/b"],
)
def test_an_address_that_is_no_object_is_refused_in_one_line(output):
    with pytest.raises(OutputError) as refused:
        check_output_kind(output)
    assert output in str(refused.value)
    assert "\n" not in str(refused.value)
    with pytest.raises(OutputError):
        job_beside(output)


def test_the_job_lies_beside_the_film():
    assert job_beside("s3://farm/shots/x.mp4") == "s3://farm/shots/x.farm"
    assert job_beside("/shots/x.y.mp4") == "/shots/x.y.farm"
    assert beside("s3://farm/x", ".farm") == "s3://farm/x.farm"


def test_a_film_appears_when_the_block_ends_and_not_when_it_fails(tmp_path):
    url = f"memory://{tmp_path.name}/x.mp4"

    def fails():
        with put_when_whole(url) as path:
            path.write_bytes(b"half")
            raise LookupError

    with pytest.raises(LookupError):
        fails()
    assert output_size(url) is None
    with put_when_whole(url) as path:
        path.write_bytes(b"film")
        assert output_size(url) is None
    assert output_size(url) == 4
    assert output_sha256(url) == output_sha256(str(_written(tmp_path / "same.mp4", b"film")))
    assert not path.exists()


def test_what_is_there_is_replaced_only_where_that_is_wanted_and_the_trial_leaves_nothing(tmp_path):
    storage = Storage(f"memory://{tmp_path.name}")
    check_can_put(f"{storage.url}/x.mp4", overwrite=False)
    storage.write("x.mp4", b"film")
    with pytest.raises(OutputError, match="exists already"):
        check_can_put(f"{storage.url}/x.mp4", overwrite=False)
    check_can_put(f"{storage.url}/x.mp4", overwrite=True)
    assert storage.names(".") == ["x.mp4"] or storage.names("") == ["x.mp4"]


def test_a_file_for_a_disk_is_not_written_to_an_address():
    with pytest.raises(OutputError, match="is an address"):
        check_can_write("s3://farm/still.png", overwrite=False)


@pytest.mark.process
@pytest.mark.usefixtures("object_storage")
def test_a_bucket_that_is_not_there_is_one_line():
    check_can_put("s3://farm/films/x.mp4", overwrite=False)
    with pytest.raises(OutputError, match=r"cannot be written to s3://nobody/x\.mp4: .*bucket") as refused:
        check_can_put("s3://nobody/x.mp4", overwrite=False)
    assert "\n" not in str(refused.value)


def _written(path, data):
    path.write_bytes(data)
    return path
