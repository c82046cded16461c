"""The network of a render with method instant and no --network: found where an earlier render left it, or trained.

    spec = with_network(spec, job_url, inputs, progress)       # the spec names a network now

A network's name is a hash of all that it depends on: style, film, losses, size and budget. It is looked for in the
job's `inputs/`, then in the user's cache (`$XDG_CACHE_HOME/farm/networks`), and only then trained. A job of a cluster
writes into its own directory only, so it neither reads nor fills the cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from farm.job import JobDirectory
from farm.plan.pace import Progress
from farm.plan.render_plan import output_size
from farm.plan.video import VideoScan
from farm.render.inputs import Inputs
from farm.spec import RenderSpec, TrainSpec
from farm.spec.load import validated
from farm.spec.named_files import BUILT_IN, input_files
from farm.spec.train import TEMPORAL_EMPHASIS
from farm.spec.units import parse_duration

DEFAULT_BUDGET = parse_duration("10m")
"""Seconds of training where the spec gives no --train-budget."""
CARRIED_OVER = (
    *("styles", "content_layers", "style_layers", "style_scale"),
    *("features", "features_input", "pooling", "precision", "seed"),
)
"""Fields of the render's spec that the training's spec takes over."""


@dataclass(frozen=True)
class FilmTraining:
    """A training for one film: its spec, the scan of the film, and the hash of every file that it reads, by path."""

    spec: TrainSpec
    scan: VideoScan
    hashes: Mapping[str, str]

    @property
    def key(self) -> str:
        """16 hexadecimal digits that are the same for the same training, wherever its files lie."""
        settings = self.spec.model_dump(mode="json", exclude={"output", "video", "styles", "features"})
        parts = [settings, [style.weight for style in self.spec.styles], list(self.hashes.values())]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def with_network(
    spec: RenderSpec,
    job_url: str,
    inputs: Inputs,
    progress: Progress,
    *,
    threads: int | None = None,
    use_cache: bool = True,
) -> RenderSpec:
    """The spec itself if it needs no network or has one; otherwise with the network that was found or trained.

    A training is the phase `train` of `progress`. Raises FarmError; CancelledError on Ctrl-C, after which the same
    call continues the training.
    """
    if spec.method != "instant" or spec.network:
        return spec
    spec = spec.model_copy(update={"train_budget": spec.train_budget or DEFAULT_BUDGET})
    job = JobDirectory(job_url)
    training = film_training(spec, inputs)
    name = f"inputs/network-{training.key}.safetensors"
    if not job.storage.exists(name):
        job.check_writable()  # before minutes of training
        with contextlib.ExitStack() as cleanup:
            folder = cache_folder() if use_cache else _own_folder(job, cleanup)
            cached = folder / f"{training.key}.safetensors"
            _find_or_train(cached, training, threads, progress)
            job.storage.upload(cached, name)
    return spec.model_copy(update={"network": f"{job.url}/{name}"})


def film_training(spec: RenderSpec, inputs: Inputs) -> FilmTraining:
    """The training of a render's network: on the film's frames, at the render's size, with its losses.

    Raises PictureError, WeightsError, VideoError or UsageError for what cannot be used.
    """
    scan = inputs.scan(spec)
    training = _training_spec(spec, scan)
    features = {} if spec.features == BUILT_IN else inputs.features(spec)
    hashes = {**inputs.hashes(spec), **features, spec.video: scan.probe.content_hash}
    return FilmTraining(training, scan, {path: hashes[path] for path in input_files(training)})


def _training_spec(spec: RenderSpec, scan: VideoScan) -> TrainSpec:
    size = output_size(scan.probe.width, scan.probe.height, spec.size, upscale=spec.upscale)
    values = {name: spec.model_dump(mode="json")[name] for name in CARRIED_OVER}
    return validated(
        TrainSpec,
        {
            **values,
            "weights": {**spec.weights.model_dump(), "temporal": spec.weights.temporal * TEMPORAL_EMPHASIS},
            "video": spec.video,
            "output": "network.safetensors",
            "size": max(*size, 32),
            "budget": spec.train_budget or DEFAULT_BUDGET,
        },
    )


def _find_or_train(cached: Path, training: FilmTraining, threads: int | None, progress: Progress) -> None:
    if cached.exists():
        progress.note(f"the network for this style and film is in {cached}")
        return
    from farm.paint.training.course import CourseProgress
    from farm.paint.training.run import evaluation_line, summary, train_network

    def on_step(training_progress: CourseProgress) -> None:
        progress.share("train", training_progress.share)
        if training_progress.evaluated:
            progress.note(evaluation_line(training_progress))

    spec = training.spec.model_copy(update={"output": str(cached)})
    progress.note(f"training a network for {spec.budget:.0f} s; {cached.parent} keeps it for the next render")
    progress.share("train", 0.0)
    cached.parent.mkdir(parents=True, exist_ok=True)
    report = train_network(spec, threads=threads, on_step=on_step, scan=training.scan, hashes=training.hashes)
    progress.note(summary(report))


def _own_folder(job: JobDirectory, cleanup: contextlib.ExitStack) -> Path:
    """A folder for the training of a job of a cluster.

    It is within the job where that is on disk, so that the training continues after a stop. For a job on object
    storage it is a temporary folder, which `cleanup` removes.
    """
    if "://" not in job.url:
        return Path(job.url) / "inputs"
    return Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="farm-inputs-")))


def cache_folder() -> Path:
    """The folder where trained networks are kept for the user, by the XDG base directory specification."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "farm" / "networks"
