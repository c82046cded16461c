"""Names of submitted jobs, and what of them may be seen."""

import pytest

from farm.errors import UsageError
from farm.job import JobDirectory
from farm.job.credentials import check_no_secrets
from farm.job.request import JobRequest, job_metadata, load_request, next_submission, save_request, submission_base
from farm.spec import build_spec


def spec_of(**options):
    return build_spec({"video": "/v/My Film.mp4", "output": "/o/out.mp4", "styles": ["/s/wave.jpg"], **options})


def test_the_same_job_has_the_same_id_and_another_one_another():
    base = submission_base("/o/out.farm", spec_of())
    assert base.startswith("farm-my-film-")
    assert base == submission_base("/o/out.farm", spec_of())
    assert base != submission_base("/o/other.farm", spec_of())
    assert base != submission_base("/o/out.farm", spec_of(size=64))


def test_marks_of_letters_do_not_leave_holes_in_the_id():
    spec = spec_of(video="/v/Über den Dächern – Straße 3.mp4")
    assert submission_base("/o/out.farm", spec).startswith("farm-ueber-den-daechern-stras-")
    assert submission_base("/o/out.farm", spec_of(video="/v/東京.mp4")).count("-") == 1, "no letters, no name"


@pytest.mark.parametrize(
    ("taken", "following"),
    [
        ([], "a"),
        (["b", "a-x", "ab"], "a"),
        (["a"], "a-2"),
        (["a", "a-2"], "a-3"),
        (["a-2"], "a-3"),
    ],
)
def test_ids_of_later_attempts(taken, following):
    assert next_submission("a", taken) == following


def test_a_request_is_read_back(tmp_path):
    job = JobDirectory(str(tmp_path))
    assert load_request(job) is None
    request = JobRequest(spec=spec_of(frames="3-9"), workers=2, priority=80, submissions=("a", "a-2"))
    save_request(job, request)
    assert load_request(job) == request


def test_metadata_names_files_without_folders_or_signatures():
    said = job_metadata("s3://b/j", spec_of(video="https://h/a/film.mp4?X-Amz-Signature=secret"))
    assert said["job_name"] == "film.mp4 as wave.jpg"
    assert said["farm_job"] == "s3://b/j"
    assert not any("secret" in value for value in said.values())


@pytest.mark.parametrize(
    "url",
    [
        "s3://key:hush@bucket/film.mp4",
        "https://key@host/film.mp4",
        "https://host/film.mp4?X-Amz-Credential=a&X-Amz-Signature=hush",
        "https://host/film.mp4?sv=2024&sig=hush",
        "https://host/film.mp4?access_token=hush",
        "https://host/film.mp4?api-key=hush",
        "https://host/film.mp4?sig=",
    ],
)
@pytest.mark.parametrize("field", ["video", "flow_weights", "output"])
def test_credentials_in_a_url_are_refused(field, url):
    with pytest.raises(UsageError, match="credentials") as refused:
        check_no_secrets("/o/out.farm", spec_of(**{field: url}))
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("path", ["https://host/film.mp4?version=3&page=2", "s3://bucket/a@b.mp4", "/o/a?sig=1.mp4"])
def test_other_addresses_are_let_through(path):
    check_no_secrets("/o/out.farm", spec_of(video=path))
