"""Make a job ready, or find it again: probe the video, read the styles, plan, and write `job.json`.

ready = prepare_job(spec, job_url, runtime)    # everything wrong with the input is found here
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from farm import __version__
from farm.errors import UsageError
from farm.flowstore import flow_key
from farm.job import JobDirectory, JobRecord, Runtime
from farm.media.scan import VideoScan, scan_video
from farm.plan import RenderPlan, plan_render
from farm.spec import RenderSpec

RECORDED_PACKAGES = ("torch", "opencv-contrib-python-headless", "av", "numpy", "ray")


@dataclass(frozen=True)
class Prepared:
    """A spec whose inputs were all read once. `record` is what an earlier run of the same job left, if any."""

    spec: RenderSpec
    job: JobDirectory
    scan: VideoScan
    plan: RenderPlan
    input_hashes: dict[str, str]
    record: JobRecord | None

    def begin(self, runtime: Runtime) -> JobRecord:
        """The job's record: the earlier one where the job is continued, otherwise written now."""
        if self.record is not None:
            return self.record
        record = JobRecord(
            spec=self.spec,
            input_hashes=self.input_hashes,
            probe=self.scan.probe,
            cuts=self.scan.cuts,
            plan=self.plan,
            runtime=runtime,
            versions={"farm": __version__, **{name: _version(name) for name in RECORDED_PACKAGES}},
        )
        self.job.save_record(record)
        return record


def prepare_job(spec: RenderSpec, job_url: str, progress: Callable[[float], None] | None = None) -> Prepared:
    """Read every input and plan the render; write nothing.

    Raises VideoError, PictureError, WeightsError or UsageError for what cannot be used, and
    JobMismatchError where `job_url` holds a render of something else.
    """
    job = JobDirectory(job_url)
    input_hashes = {style.path: _hash_picture(style.path) for style in spec.styles}
    if spec.flow_weights:
        input_hashes[spec.flow_weights] = _hash_file(spec.flow_weights)
    scan = scan_video(spec.video, allow_truncated=spec.allow_truncated)
    input_hashes[spec.video] = scan.probe.content_hash
    record = job.load_record()
    if record is not None and job.has_frames:
        job.check_same(record, spec, input_hashes)
        return Prepared(spec, job, scan, record.plan, input_hashes, record)
    return Prepared(spec, job, scan, plan_render(spec, scan.probe, scan.cuts), input_hashes, None)


def sibling_flow_sources(job: JobDirectory, record: JobRecord) -> tuple[str, ...]:
    """Flow directories of other jobs beside this one that hold the same fields: one style's flow serves the next."""
    if "://" in job.url:
        return ()
    weights = record.spec.flow_weights
    key = flow_key(
        record.probe.content_hash,
        (record.plan.width, record.plan.height),
        record.spec.flow,
        record.input_hashes.get(weights, "") if weights else "",
    )
    here = Path(job.url)
    found = (path / "flow" / key for path in sorted(here.parent.glob("*.farm")) if path != here)
    return tuple(str(path) for path in found if path.is_dir())


def _hash_picture(path: str) -> str:
    """Hash a style's bytes after decoding it once, so that a bad one is found before rendering begins."""
    from farm.style.picture import read_picture

    read_picture(path)
    return _hash_file(path)


def _hash_file(path: str) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "check the path") from None


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
