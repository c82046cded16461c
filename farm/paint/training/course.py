"""A whole training: steps, evaluations, checkpoints, and the finished network. The same calls again continue it.

    begin_training(spec, overwrite=False)
    report = run_course(spec, trainer)

The training's folder has
    train.json           the spec, and the hashes of the files that it reads
    checkpoint.pt        network, descent, step, seconds and curve, of the latest evaluation or where it stopped
    best.pt              the network with the lowest held-out loss
    curve.png            the losses by step
    samples/000400.png   held-out pictures, as painted after 400 steps
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from farm import __version__
from farm.errors import JobMismatchError, OptimizationError, OutputError, UsageError
from farm.files import local_path, write_atomically
from farm.files.atomic import check_can_write
from farm.media.source import content_hash
from farm.paint.network.network_file import card_of, save_network
from farm.paint.training.pictures import photo_files
from farm.paint.training.sheets import write_learning_curve, write_sample_sheet
from farm.paint.training.step import Losses, Trainer, mean_losses, work_done
from farm.spec import TrainSpec
from farm.spec.load import differing_fields
from farm.spec.named_files import input_files

EVALUATIONS = 16
"""Number of evaluations of a training, evenly spaced."""
SETTLED = 0.6
"""Share of a training before which it is not stopped for lack of progress, because the learning rate has hardly
fallen.
"""


@dataclass
class Course:
    """The state of a training. Its fields are keys of the checkpoint."""

    step: int = 0
    """Steps that were done."""
    seconds: float = 0.0
    """Seconds of steps and evaluations, over all runs of the command."""
    best: float = float("inf")
    """Lowest held-out loss so far."""
    best_step: int = 0
    """Step of the lowest held-out loss."""
    since_best: int = 0
    """Evaluations since that step."""
    finished: bool = False
    curve: list[dict[str, Any]] = field(default_factory=list)
    """One entry for each evaluation: step, seconds, and losses on training crops and held-out pictures."""


@dataclass(frozen=True)
class CourseProgress:
    """What a training reports after each step."""

    step: int
    """Steps that were done."""
    share: float
    """Share 0..1 of the training: of its time, or of its pixels where the spec gives a number of steps."""
    losses: Losses
    """Of the step's crops, or of the held-out pictures where they were evaluated."""
    evaluated: bool
    """Whether this report is of an evaluation."""


def training_folder(output: str) -> Path:
    """The folder of the training that makes `output`, beside it.

    >>> training_folder("out/net.safetensors").as_posix()
    'out/net.train'
    """
    return Path(output).with_suffix(".train")


def run_course(
    spec: TrainSpec,
    trainer: Trainer,
    on_step: Callable[[CourseProgress], None] = lambda _: None,
    check_interruption: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Train to the end, or until nothing gets better, write the network, and return a report.

    `on_step` is called after every step. `check_interruption` is called before every step, and may raise. Whatever is
    raised, a checkpoint of the last whole step is left. All of the trainer's team call this function. Only the leader
    evaluates, writes, reports, is interrupted and returns a report; the others go by its clock, and return an empty
    one.
    Raises OptimizationError if the loss is not finite, OutputError where the folder cannot be used, TeamEnded where
    another of the team has stopped.
    """
    team, folder = trainer.team, training_folder(spec.output)
    course = _restored(folder, trainer)
    if not team.all_agree(course.step):
        raise OutputError(f"{folder} is not the same for all workers", "choose a -o that every node sees")
    began = time.monotonic() - course.seconds
    recent: list[Losses] = []
    next_evaluation = len(course.curve) + 1

    def clock() -> float:
        check_interruption()
        return time.monotonic() - began

    try:
        while not course.finished:
            course.seconds = team.led(clock)
            share = _share(spec, course)
            recent.append(trainer.step(course.step, share))
            if not torch.isfinite(torch.tensor(recent[-1]["total"])):
                raise OptimizationError(
                    f"the loss was {recent[-1]['total']} at step {course.step}", "give a smaller --learning-rate"
                )
            course.step += 1
            share = _share(spec, course)
            if share >= min(next_evaluation / EVALUATIONS, 1.0):
                next_evaluation = int(share * EVALUATIONS) + 1
                course.finished = bool(team.led(partial(_judge, spec, trainer, course, share, recent, folder, on_step)))
                recent.clear()
            elif team.leads:
                on_step(CourseProgress(course.step, _work_share(spec, trainer, share), recent[-1], evaluated=False))
    except BaseException:
        if course.step and team.leads:
            _save(folder, trainer, course)
        raise
    return _finish(spec, trainer, course, folder) if team.leads else {}


def begin_training(spec: TrainSpec, *, overwrite: bool, hashes: Mapping[str, str] | None = None) -> None:
    """Check before any work whether this training can be done, or continued, and write train.json.

    `hashes` are `input_hashes(spec)` where the caller has them; None reads the files here. Raises OutputError,
    UsageError for a file that cannot be read, and JobMismatchError where the folder holds a training of another spec or
    of other files.
    """
    check_can_write(spec.output, overwrite=overwrite)
    folder = training_folder(spec.output)
    hashes = dict(hashes if hashes is not None else input_hashes(spec))
    record_file = folder / "train.json"
    if record_file.exists():
        try:
            record = json.loads(record_file.read_text())
            before, before_hashes = TrainSpec.model_validate(record["spec"]), dict(record["inputs"])
        except (OSError, ValueError, KeyError, TypeError):
            raise OutputError(f"{record_file} is damaged", f"remove {folder} to train anew") from None
        differences = differing_fields(before, spec)
        changed = [path for path, digest in hashes.items() if before_hashes.get(path, digest) != digest]
        differences += [f"{path}: the file has changed" for path in changed]
        if differences and (folder / "checkpoint.pt").exists():
            raise JobMismatchError(
                f"{folder} is a training of something else ({'; '.join(differences)})",
                "choose another -o, or remove that folder",
            )
    record = {"spec": spec.model_dump(mode="json"), "inputs": hashes}
    try:
        write_atomically(record_file, json.dumps(record, indent=1).encode())
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error.strerror})", "choose another -o") from None


def _share(spec: TrainSpec, course: Course) -> float:
    if spec.steps is not None:
        return course.step / spec.steps
    assert spec.budget is not None
    return course.seconds / spec.budget


def _work_share(spec: TrainSpec, trainer: Trainer, share: float) -> float:
    return share if spec.budget else work_done(share, trainer.first_side, trainer.painted_shape)


def _judge(
    spec: TrainSpec,
    trainer: Trainer,
    course: Course,
    share: float,
    recent: Sequence[Losses],
    folder: Path,
    on_step: Callable[[CourseProgress], None],
) -> bool:
    """Evaluate, report, and write a checkpoint. Whether the training is finished."""
    _evaluate(spec, trainer, course, mean_losses(recent), folder)
    course.finished = share >= 1 or (course.since_best >= spec.patience and share >= SETTLED)
    on_step(
        CourseProgress(course.step, _work_share(spec, trainer, share), course.curve[-1]["held_out"], evaluated=True)
    )
    _save(folder, trainer, course)
    return course.finished


def _evaluate(spec: TrainSpec, trainer: Trainer, course: Course, training: Losses, folder: Path) -> None:
    held_out = trainer.held_out()
    course.curve.append({"step": course.step, "seconds": course.seconds, "training": training, "held_out": held_out})
    course.since_best += 1
    if held_out["total"] < course.best:
        course.best, course.best_step, course.since_best = held_out["total"], course.step, 0
        _write(folder / "best.pt", trainer.network.state_dict())
    write_learning_curve(folder / "curve.png", course.curve)
    write_sample_sheet(folder / "samples" / f"{course.step:06d}.png", trainer.pictures, trainer.paint)


def _finish(spec: TrainSpec, trainer: Trainer, course: Course, folder: Path) -> dict[str, Any]:
    trainer.network.load_state_dict(_read(folder / "best.pt"))
    best = next(point for point in course.curve if point["step"] == course.best_step)
    card = card_of(
        trainer.network,
        styles=tuple(Path(style.path).name for style in spec.styles),
        settings=_without_folders(spec),
        steps=course.best_step,
        seconds=round(course.seconds, 1),
        losses={name: round(value, 3) for name, value in best["held_out"].items()},
        painted_shape=trainer.painted_shape,
        farm=__version__,
    )
    save_network(spec.output, trainer.network, card, trainer.styles[0].image)
    return {
        "output": spec.output,
        "folder": str(folder),
        "steps": course.step,
        "best_step": course.best_step,
        "seconds": round(course.seconds, 1),
        "pictures": len(trainer.pictures.training),
        "held_out": len(trainer.pictures.held_out),
        "losses": card.losses,
        "curve": course.curve,
    }


def _without_folders(spec: TrainSpec) -> dict[str, Any]:
    """The settings of the spec as they may be shared: names of files, without their folders."""
    settings = spec.model_dump(mode="json", exclude={"output", "regions", "init", "upscale", "color", "optimizer"})
    for name in ("photos", "video", "network"):
        settings[name] = Path(settings[name]).name if settings[name] else None
    settings["styles"] = [{**style, "path": Path(style["path"]).name} for style in settings["styles"]]
    return settings


def input_hashes(spec: TrainSpec) -> dict[str, str]:
    """A hash of everything that the training reads, by path. Raises UsageError for a file that cannot be read.

    Of paintings and weights it is a SHA-256 of the bytes, of a film its `content_hash`, of a folder of photos a SHA-256
    of names and sizes.
    """
    hashes = {}
    for path in input_files(spec):
        if path == spec.video:
            hashes[path] = content_hash(path)
            continue
        try:
            with local_path(path).open("rb") as file:
                digest = hashlib.sha256()
                while piece := file.read(1 << 20):
                    digest.update(piece)
                hashes[path] = digest.hexdigest()
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}", "check the path") from None
    if spec.photos:
        listing = [(path.name, path.stat().st_size) for path in photo_files(spec.photos)]
        hashes[spec.photos] = hashlib.sha256(repr(listing).encode()).hexdigest()
    return hashes


def _save(folder: Path, trainer: Trainer, course: Course) -> None:
    _write(folder / "checkpoint.pt", {**trainer.state(), "course": vars(course)})


def _restored(folder: Path, trainer: Trainer) -> Course:
    """The course at its checkpoint, which the trainer is set to, or a new course. Raises OutputError."""
    if not (folder / "checkpoint.pt").exists():
        return Course()
    state = _read(folder / "checkpoint.pt")
    try:
        trainer.restore(state)
        return Course(**state["course"])
    except (KeyError, TypeError, ValueError, RuntimeError):
        raise _damaged(folder / "checkpoint.pt") from None


def _write(path: Path, value: Any) -> None:
    out = io.BytesIO()
    torch.save(value, out)
    try:
        write_atomically(path, out.getvalue())
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror})", "free the disk, then run again") from None


def _read(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, pickle.UnpicklingError):
        raise _damaged(path) from None


def _damaged(path: Path) -> OutputError:
    return OutputError(f"{path} is damaged", f"remove {path.parent} to train anew")
