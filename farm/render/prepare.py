"""Prepare a job, or continue one: read the inputs, plan the render, and write `job.json` once workers are there.

prepared = prepare_job(spec, job_url)     # everything that is wrong with the inputs is found here
record = prepared.begin(runtime)          # job.json is written here
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from farm.errors import FlowFileError
from farm.flow import external_flow_name
from farm.job import JobDirectory, JobRecord
from farm.job.forecast import load_forecast
from farm.job.software import installed, used_by
from farm.media.decode import FrameReader
from farm.media.rehearse import rehearse_film
from farm.media.settle import settle_tracks
from farm.media.tracks import Track, container_extension
from farm.plan import JobRuntime, RenderPlan, Runtime, plan_render
from farm.plan.film_looks import looks_of
from farm.plan.video import VideoProbe, VideoScan
from farm.render.held_frames import check_keys
from farm.render.inputs import Inputs
from farm.render.painted import PaintedFilm, PaintedFrames, check_painted, check_shows_film
from farm.render.regions.files import check_regions
from farm.render.stitch import encode_settings, shown_probe
from farm.spec import FrameRange, RenderSpec
from farm.spec.choices import Keep
from farm.spec.load import spec_differences, with_join_of


@dataclass(frozen=True)
class Prepared:
    """A spec with its inputs read and its render planned. `record` is that of an earlier run of the same job, or None.

    `input_hashes` maps every file that the render reads to its hash. `tracks` is None until they are settled.
    """

    spec: RenderSpec
    job: JobDirectory
    scan: VideoScan
    plan: RenderPlan
    input_hashes: dict[str, str]
    record: JobRecord | None
    tracks: tuple[Track, ...] | None = None
    painted: VideoProbe | None = None

    def with_tracks(self) -> Prepared:
        """The same with `tracks` settled: what becomes of the film's sound and subtitles (farm.media.settle).

        Raises UsageError for a track that is asked for and not there.
        """
        extension = container_extension(self.spec.output)
        return dataclasses.replace(
            self, tracks=settle_tracks(self.scan.probe, self.plan.frames, extension, self.spec.encode)
        )

    def rehearse(self) -> None:
        """Make a film of three grey frames as that of this render will be made. Raises UsageError where that fails."""
        size = (self.plan.width, self.plan.height)
        encode = encode_settings(self.spec)
        rehearse_film(shown_probe(self.spec, self.scan.probe), self.plan.frames, size, self.spec.output, encode)

    def as_it_is_now(self) -> Prepared:
        """The same with the record that the job holds now, which another driver may have written since.

        It also repairs a damaged copy of the record. Raises JobMismatchError where the job is now another render.
        """
        self.job.mend_record()
        self.job.forget()
        record = self.job.load_record()
        if record is None or not self.job.has_frames:
            return dataclasses.replace(self, record=None)
        self.job.check_same(record, self.spec, self.input_hashes)
        wanted = _joined_as(record, self.spec)
        if wanted != record:
            self.job.save_record(wanted)
        return dataclasses.replace(self, record=wanted, plan=record.plan)

    def begin(
        self,
        runtime: Runtime,
        *,
        software: Mapping[str, str] | None = None,
        save_storage: bool = False,
        threads: int | None = None,
        keep: Keep = "all",
    ) -> JobRecord:
        """The job's record: that of an earlier run where there is one, otherwise one that is written now.

        `runtime` is that of the first worker, `software` what the job's workers paint with (None is what this process
        has), and `threads` how many each worker was asked to have.
        """
        if self.record is not None:
            return self.record
        record = JobRecord(
            spec=self.spec,
            input_hashes=self.input_hashes,
            probe=self.scan.probe,
            cuts=self.scan.cuts,
            plan=self.plan,
            runtime=JobRuntime.of(runtime),
            versions=used_by(self.spec, installed() if software is None else software),
            save_storage=save_storage,
            threads=threads,
            keep=keep,
            painted=self.painted,
        )
        self.job.save_record(record)
        return record


def prepare_job(
    spec: RenderSpec, job_url: str, inputs: Inputs | None = None, *, workers: int | None = None
) -> Prepared:
    """Read every input and plan the render; write nothing.

    The chunks of a job that begins are made for so many `workers` (None: nobody knows yet), and for the pace where
    `farm plan --measure` has left one in the job. A job that was begun keeps its chunks.

    `inputs` remembers the files that earlier steps have read, the film among them; None reads all of them here.
    Raises VideoError, PictureError, WeightsError or UsageError for what cannot be used, and
    JobMismatchError where `job_url` holds a render of something else.
    """
    job = JobDirectory(job_url)
    inputs = Inputs() if inputs is None else inputs
    input_hashes = inputs.hashes(spec)  # first: a bad painting is found before a scan that may take minutes
    scan = inputs.scan(spec)
    input_hashes[spec.video] = scan.probe.content_hash
    record = job.load_record()
    if record is not None and job.has_frames:
        job.check_same(record, spec, input_hashes)
        return Prepared(spec, job, scan, record.plan, input_hashes, _joined_as(record, spec))
    painted = inputs.painted(spec.painted) if spec.painted else None
    if painted is not None:
        check_painted(painted, scan.probe)
    size = None if painted is None else (painted.width, painted.height)
    pace = _measured_pace(job, spec)
    plan = plan_render(spec, scan.probe, scan.cuts, workers=workers, frame_seconds=pace, size=size)
    looks_of(spec, scan.probe, scan.cuts)  # refuses a timeline that does not fit the film
    if painted is not None:
        _check_shows_film(spec, scan.probe, painted, plan)
    if spec.flow_dir:
        _check_flow_files(spec.flow_dir, plan)
    check_keys(spec, plan)
    if spec.regions:
        check_regions(spec.regions, plan, scan.probe.frame_count)
    probe = None if painted is None else painted.probe
    return Prepared(spec, job, scan, plan, input_hashes, None, painted=probe)


def _check_shows_film(spec: RenderSpec, probe: VideoProbe, painted: PaintedFilm, plan: RenderPlan) -> None:
    """Raise VideoError where the painted film is no painting of the film."""
    size = (plan.width, plan.height)
    with FrameReader(probe, size, spec.as_stored) as reader:

        def source(frame: int) -> np.ndarray:
            return next(iter(reader.read(FrameRange(frame, frame + 1))))

        frames = PaintedFrames(painted.path, painted.probe, size)
        check_shows_film(frames, source, plan.frames, (painted.path, probe.path))


def _measured_pace(job: JobDirectory, spec: RenderSpec) -> float | None:
    """Seconds of a frame in a later pass, where a forecast of the same render was kept in the job; otherwise None."""
    forecast = load_forecast(job)
    if forecast is None or spec_differences(forecast.spec, spec):
        return None
    return forecast.costs.refine or None


def _joined_as(record: JobRecord, spec: RenderSpec) -> JobRecord:
    """The record of a job that is continued, with what concerns only the join as it is asked for now."""
    return record.model_copy(update={"spec": with_join_of(record.spec, spec)})


def _check_flow_files(folder: str, plan: RenderPlan) -> None:
    for shot in plan.shots:
        for frame in range(shot.start + 1, shot.stop):
            for name in (external_flow_name(frame, frame - 1), external_flow_name(frame - 1, frame)):
                if not (Path(folder) / name).is_file():
                    raise FlowFileError(
                        f"flow directory {folder} has no {name}",
                        "it needs one file each way for every pair of neighbours, frames counted from 1",
                    )
