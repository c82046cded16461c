"""Make a job ready, or find it again: probe the video, read the styles, plan, and write `job.json`.

ready = prepare_job(spec, job_url, runtime)    # everything wrong with the input is found here
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from farm import __version__
from farm.errors import FlowFileError, UsageError
from farm.files.remote import local_path
from farm.flow import external_flow_name
from farm.job.directory import JobDirectory
from farm.job.record import JobRecord, record_flow_key
from farm.media.scan import VideoScan, scan_video
from farm.media.source import open_source, pick_video_stream
from farm.plan.render_plan import RenderPlan, plan_render
from farm.plan.runtime import Runtime
from farm.render.regions.files import check_regions, hash_masks
from farm.spec.named_files import BUILT_IN, picture_files, with_small_files_here
from farm.spec.render import RenderSpec

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

    def as_it_is_now(self) -> Prepared:
        """The same with what the job holds at this moment: another driver may have been at work. Mends its record."""
        self.job.mend_record()
        self.job.forget()
        record = self.job.load_record()
        if record is None or not self.job.has_frames:
            return dataclasses.replace(self, record=None)
        self.job.check_same(record, self.spec, self.input_hashes)
        return dataclasses.replace(self, record=record, plan=record.plan)

    def begin(self, runtime: Runtime, *, save_storage: bool = False) -> JobRecord:
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
            save_storage=save_storage,
        )
        self.job.save_record(record)
        return record


def prepare_job(spec: RenderSpec, job_url: str, scan: VideoScan | None = None) -> Prepared:
    """Read every input and plan the render; write nothing. `scan` where the film was read already.

    Raises VideoError, PictureError, WeightsError or UsageError for what cannot be used, and
    JobMismatchError where `job_url` holds a render of something else.
    """
    job = JobDirectory(job_url)
    input_hashes = {path: _hash_picture(path) for path in picture_files(spec)}
    input_hashes |= hash_masks(spec.regions)
    if spec.method == "optimize":
        input_hashes |= _hash_network(spec)
    if spec.network:
        input_hashes[spec.network] = _hash_trained(spec.network)
    if spec.flow_weights:
        input_hashes[spec.flow_weights] = _hash_flow_weights(spec.flow_weights)
    if spec.flow_dir:
        input_hashes[spec.flow_dir] = _hash_listing(spec.flow_dir)
    scan = scan or scan_video(spec.video, allow_truncated=spec.allow_truncated)
    input_hashes[spec.video] = scan.probe.content_hash
    record = job.load_record()
    if record is not None and job.has_frames:
        job.check_same(record, spec, input_hashes)
        return Prepared(spec, job, scan, record.plan, input_hashes, record)
    plan = plan_render(spec, scan.probe, scan.cuts)
    if spec.flow_dir:
        _check_flow_files(spec.flow_dir, plan)
    if spec.regions:
        check_regions(spec.regions, plan, scan.probe.frame_count)
    return Prepared(spec, job, scan, plan, input_hashes, None)


def check_inputs(spec: RenderSpec) -> None:
    """Find out that every file which the spec names is the film, picture or network that it should be, reading no more
    than that takes. Raises InputError or UsageError.
    """
    with open_source(spec.video) as film:
        pick_video_stream(film, spec.video)
    for path in picture_files(spec):
        _hash_picture(path)
    hash_masks(spec.regions)
    if spec.features != BUILT_IN:
        _hash_network(spec)
    if spec.network:
        _hash_trained(spec.network)
    if spec.flow_weights:
        _hash_flow_weights(spec.flow_weights)


def sibling_flow_sources(job: JobDirectory, record: JobRecord) -> tuple[str, ...]:
    """Flow directories of other jobs beside this one that hold the same fields: one style's flow serves the next."""
    if "://" in job.url:
        return ()
    key = record_flow_key(record)
    here = Path(job.url)
    found = (path / "flow" / key for path in sorted(here.parent.glob("*.farm")) if path != here)
    return tuple(str(path) for path in found if path.is_dir())


def _hash_picture(path: str) -> str:
    """Hash a picture's bytes after decoding it once, so that a bad one is found before rendering begins."""
    from farm.media.pictures import read_picture

    read_picture(local_path(path))
    return _hash_file(path)


def _hash_network(spec: RenderSpec) -> dict[str, str]:
    """The hash of the feature network's file, read once as it will be; the built-in one is the package's."""
    from farm.paint.styler import load_network

    load_network(with_small_files_here(spec))
    return {} if spec.features == BUILT_IN else {spec.features: _hash_file(spec.features)}


def _hash_trained(path: str) -> str:
    """The hash of a trained network, read once as it will be."""
    from farm.paint.network.network_file import load_network_file

    load_network_file(local_path(path))
    return _hash_file(path)


def _hash_flow_weights(path: str) -> str:
    """The hash of RAFT's weights, read once as they will be."""
    from farm.flow.raft import load_raft_weights

    load_raft_weights(local_path(path))
    return _hash_file(path)


def _hash_file(path: str) -> str:
    try:
        return hashlib.sha256(local_path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "check the path") from None


def _hash_listing(folder: str) -> str:
    """Hash of the names, sizes and times of the files in a folder: their bytes may be many gigabytes."""
    try:
        found = sorted((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in Path(folder).iterdir())
    except OSError as error:
        raise FlowFileError(f"flow directory {folder} cannot be read: {error.strerror}", "check --flow-dir") from None
    return hashlib.sha256(repr(found).encode()).hexdigest()


def _check_flow_files(folder: str, plan: RenderPlan) -> None:
    for shot in plan.shots:
        for frame in range(shot.start + 1, shot.stop):
            for name in (external_flow_name(frame, frame - 1), external_flow_name(frame - 1, frame)):
                if not (Path(folder) / name).is_file():
                    raise FlowFileError(
                        f"flow directory {folder} has no {name}",
                        "it needs one file each way for every pair of neighbours, frames counted from 1",
                    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
