"""What a job is called in metrics: what Ray takes, and another name for each job."""

from __future__ import annotations

import os

import pytest

from farm.cluster.render_job import job_label
from farm.job.request import film_title
from farm.spec import build_spec

pytestmark = pytest.mark.cluster  # the import of ray binds a socket
NAMES = [
    "Größe",
    "東京🎬",
    "حلم",
    "a\nb",
    'q"u\\o`te %d $x',
    " ",
    "n" * 250,
    "é" * 120,
    os.fsdecode(b"bad\xff"),
    "ﬁlm",
    "Å",
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_ray_takes_the_label_of_every_job(name):
    from ray.util.metrics import Gauge

    label = job_label(f"/jobs/{name}.farm", "")
    assert label.isascii()
    assert label.isprintable()
    assert 0 < len(label) <= 100
    Gauge("farm_test_of_labels", "A test.", ("job",)).set(1.0, {"job": label})


def test_labels_tell_jobs_apart():
    assert len({job_label(f"/jobs/{name}.farm", "") for name in [*NAMES, "Grosse", "Groesse", "A", "n" * 249]}) == 15


def test_a_plain_name_is_its_own_label():
    assert job_label("s3://bucket/bikes 2.farm/", "") == "bikes 2.farm"
    assert job_label("/jobs/Größe.farm", "farm-groesse-1a2b3c4d5e") == "farm-groesse-1a2b3c4d5e"


@pytest.mark.parametrize(("name", "title"), [("Größe.mp4", "Größe"), ("a\nb.mp4", "a?b"), (250 * "n" + ".mp4", None)])
def test_a_title_is_one_line(name, title):
    spec = build_spec({"video": f"/films/{name}", "styles": ["s.png"], "output": "/out.mp4"})
    assert film_title(spec) == title or (title is None and len(film_title(spec)) == 100)
