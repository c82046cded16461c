"""A network trained for one film and style on the way to its render, and kept for the next time.

    spec = with_network(spec, job_url)       # method instant without a network: now it has one

Its name is a hash of all that it depends on: style, film, losses, size and budget. It is looked for in the job's
`inputs/`, then in the user's cache (`$XDG_CACHE_HOME/farm/networks`), and only then trained. A job of a cluster writes
nowhere but into its own directory: it leaves the cache alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from farm.job.directory import JobDirectory
from farm.media.scan import scan_video
from farm.paint.training.course import input_hashes
from farm.plan.render_plan import output_size
from farm.spec.load import validated
from farm.spec.render import RenderSpec
from farm.spec.train import TEMPORAL_EMPHASIS, TrainSpec
from farm.spec.units import parse_duration

DEFAULT_BUDGET = parse_duration("10m")
CARRIED_OVER = (
    *("styles", "content_layers", "style_layers", "style_scale"),
    *("features", "features_input", "pooling", "precision", "seed"),
)


def with_network(
    spec: RenderSpec,
    job_url: str,
    threads: int | None = None,
    note: Callable[[str], None] = lambda _: None,
    *,
    use_cache: bool = True,
) -> RenderSpec:
    """The spec itself if it needs no network or has one; otherwise with the network that was found or trained.

    Raises FarmError; CancelledError on Ctrl-C, after which the same call trains on.
    """
    if spec.method != "instant" or spec.network:
        return spec
    spec = spec.model_copy(update={"train_budget": spec.train_budget or DEFAULT_BUDGET})
    job = JobDirectory(job_url)
    training = training_spec(spec)
    key = network_key(training)
    name = f"inputs/network-{key}.safetensors"
    if not job.storage.exists(name):
        with contextlib.ExitStack() as held:
            folder = cache_folder() if use_cache else _own_folder(job, held)
            cached = folder / f"{key}.safetensors"
            _find_or_train(cached, training, threads, note)
            job.check_writable()
            job.storage.upload(cached, name)
    return spec.model_copy(update={"network": f"{job.url}/{name}"})


def _find_or_train(cached: Path, training: TrainSpec, threads: int | None, note: Callable[[str], None]) -> None:
    if cached.exists():
        note(f"the network for this style and film is in {cached}")
        return
    from farm.paint.training.run import summary, train_network

    note(f"training a network for {training.budget:.0f} s; {cached.parent} keeps it for the next render")
    cached.parent.mkdir(parents=True, exist_ok=True)
    note(summary(train_network(training.model_copy(update={"output": str(cached)}), threads=threads)))


def _own_folder(job: JobDirectory, held: contextlib.ExitStack) -> Path:
    """Within the job where that is on disk, so that training goes on after a stop; otherwise one that is not kept."""
    if "://" not in job.url:
        return Path(job.url) / "inputs"
    return Path(held.enter_context(tempfile.TemporaryDirectory(prefix="farm-inputs-")))


def training_spec(spec: RenderSpec) -> TrainSpec:
    """What the network of a render is trained on: the film's frames, at its size, by its losses. Raises UsageError."""
    probe = scan_video(spec.video, allow_truncated=spec.allow_truncated).probe
    size = output_size(probe.width, probe.height, spec.size, upscale=spec.upscale)
    budget = spec.train_budget or DEFAULT_BUDGET
    values = {name: spec.model_dump(mode="json")[name] for name in CARRIED_OVER}
    return validated(
        TrainSpec,
        {
            **values,
            "weights": {**spec.weights.model_dump(), "temporal": spec.weights.temporal * TEMPORAL_EMPHASIS},
            "video": spec.video,
            "output": "network.safetensors",
            "size": max(*size, 32),
            "budget": budget,
        },
    )


def network_key(spec: TrainSpec) -> str:
    """The same for the same training, wherever its files lie."""
    hashes = input_hashes(spec)
    settings = spec.model_dump(mode="json", exclude={"output", "video", "styles", "features"})
    told = [settings, [style.weight for style in spec.styles], list(hashes.values())]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def cache_folder() -> Path:
    """As the XDG base directory specification has it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "farm" / "networks"
