"""Frames that a person corrected become what the film shows: accepted, carried into their neighbours, put back.

    accept_frames(job_url, FrameRange(120, 124), reach=48)     {"accepted": [120], "carried": [72, ...], "output": ...}
    restore_frame(job_url, 120)                                the picture that it had before

Each holds the job's lease. Everything that may be wrong is found before anything is written. What the film shows then
changes by one write (farm.job.corrections), and the film is stitched again. A command that was interrupted is given
once more: it finds what is done already. So does `farm resume`, which stitches a film that does not show its
corrections.

Where nothing has to be painted, neither torch nor ray is loaded. One picture may have to be: what was painted in a
frame that was edited in its place, which is needed to carry the correction and to go back.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from farm.errors import DamagedError, StorageError, UsageError
from farm.files.output import output_sha256, output_size
from farm.files.png import encode_png
from farm.job import JobDirectory, JobRecord
from farm.job.corrections import (
    CorrectedFrame,
    Corrections,
    Origin,
    Version,
    carried_from,
    version_name,
    with_painted,
)
from farm.job.history import History
from farm.job.keep import check_frames_kept
from farm.job.lease import job_lease
from farm.job.versions import job_that_exists, last_task
from farm.media.film import check_output_writable
from farm.plan import plan_tasks
from farm.render.carried_corrections import CorrectionCarrier
from farm.render.given_pictures import (
    GivenPicture,
    edited_frames,
    edited_in_place,
    given_in_folder,
)
from farm.render.stitch import Segments, is_own_film, stitch_film
from farm.spec import FrameRange
from farm.spec.frames import runs

Note = Callable[[str], None]
Sources = Mapping[int, tuple[int | None, int | None]]
"""By frame: the accepted frames before and after it that it is made from, None where there is none."""
Show = Callable[[str, int, int], None]
"""Is told what is under way, how many frames of it are done, and of how many."""


def accept_frames(
    job_url: str,
    frames: FrameRange,
    *,
    folder: str | None = None,
    reach: int = 0,
    note: Note = lambda _: None,
    show: Show = lambda label, done, total: None,
) -> dict[str, Any]:
    """Have the film show the pictures of `frames` that a person edited in the job directory, or put into `folder`.

    With `reach` they are carried into so many frames on either side, inside their shot. Frames that were accepted
    before and not edited since are carried too, or only stitched where an earlier call was interrupted.

    Returns what `farm accept --json` prints. Raises UsageError or OutputError, and nothing is changed then: for a job
    that is at work or keeps no frames, for frames that are not in it or not painted yet, for pictures that are no PNG
    or of another size, and where there is nothing to accept.
    """
    job = job_that_exists(job_url)
    with job_lease(job.storage, note):
        record = _record_to_correct(job)
        _check_painted(job, record, frames)
        given = given_in_folder(job, record, frames, folder) if folder else edited_in_place(job, record, frames)
        before = {one.frame for one in job.corrections() if one.held and one.current.origin == "accepted"}
        again = {frame for frame in frames if frame in before and frame not in given}
        if not given and not again:
            raise UsageError(
                f"no frame of {frames} was edited in {job.url}",
                "edit the pictures of the last pass there, or hand them in with --from FOLDER",
            )
        again = again if reach and not folder else set()
        change = _Change(job, record, note, show)
        accepted, pictures = _with_accepted(job, record, given, again, reach)
        changed = sorted({*given, *again})
        result = change.make(accepted, changed, carry=bool(reach), pictures=pictures)
        carried = f" and carried into {len(result['carried'])} others" if reach else ""
        if changed:
            History(job).add("note", text=f"frames {_ranges(changed)} were accepted{carried}")
    return {"job": job.url, "accepted": changed, "reach": reach, **result}


def restore_frame(
    job_url: str,
    frame: int,
    number: int = 1,
    *,
    note: Note = lambda _: None,
    show: Show = lambda label, done, total: None,
) -> dict[str, Any]:
    """Have the film show an earlier picture of a frame: `number` of `list_versions`, where 1 is what was painted.

    What was carried from the picture that it shows now goes back too. Returns what `farm restore --json` prints. Raises
    as `accept_frames` does, and UsageError for a picture that the frame never had.
    """
    job = job_that_exists(job_url)
    with job_lease(job.storage, note):
        record = _record_to_correct(job)
        _check_painted(job, record, FrameRange(frame, frame + 1))
        one = job.corrections().get(frame)
        if one is None:
            raise UsageError(f"frame {frame} of {job.url} was never corrected", "farm versions lists those that were")
        if not 1 <= number <= len(one.versions):
            remedy = f"it has pictures 1 to {len(one.versions)}: farm versions lists them"
            raise UsageError(f"frame {frame} has no picture {number}", remedy)
        change = _Change(job, record, note, show)
        result = change.make(_with_restored(job, record, one, number), [frame], carry=True)
        History(job).add("note", text=f"picture {number} of frame {frame} was put back")
    return {"job": job.url, "frame": frame, "shown": number, **result}


class _Change:
    """One change of what a job's film shows, made while the lease is held."""

    def __init__(self, job: JobDirectory, record: JobRecord, note: Note, show: Show) -> None:
        self._job, self._record, self._note, self._show = job, record, note, show
        self._report = job.load_report()
        if self._report is not None:
            output = record.spec.output
            check_output_writable(output, is_own_film(job, output))

    def make(
        self,
        wanted: Corrections,
        changed: Collection[int],
        *,
        carry: bool,
        pictures: Mapping[tuple[int, int], bytes] | None = None,
    ) -> dict[str, Any]:
        """Show `wanted`, in which the `changed` frames are new. With `carry`, frames around these follow them.

        `pictures`, by frame and number, are those that `wanted` adds. Where there are any, `wanted` is written before a
        frame that was edited in its place is painted again. Returns the frames that were carried or went back, and the
        film, None where none is finished.
        """
        before = self._job.corrections()
        carried: dict[int, CorrectedFrame] = {}
        sources = affected(self._record, before, wanted, changed) if carry else {}
        overwritten = self._overwritten(sources, wanted, changed) if carry else []
        if overwritten:
            check_frames_kept(self._job)
            self._check_paints_alike(overwritten)
        self._job.store_versions(pictures or {})
        if overwritten:
            if pictures:
                self._job.save_corrections(wanted)
            self._paint_again(overwritten)
        if carry:
            carried = self._carried(sources, wanted)
        after = wanted.with_frames(carried.values())
        if after != self._job.corrections():
            self._job.save_corrections(after)
        moved = [frame for frame in carried if before.shown(frame) != after.shown(frame)]
        return {"carried": sorted(moved), "output": self._stitch(after)}

    def _overwritten(self, sources: Sources, wanted: Corrections, changed: Collection[int]) -> list[int]:
        """The frames whose painted picture is needed and is not there any more, ascending.

        Raises UsageError where one that the corrections reach is not painted yet, or was edited and not accepted.
        """
        accepted = {one for pair in sources.values() for one in pair if one is not None}
        put_back = {frame for frame in changed if wanted.shown(frame) is None}
        needed = sorted({*sources, *accepted, *put_back})
        _check_painted(self._job, self._record, needed)
        if edited := edited_frames(self._job, self._record, [frame for frame in needed if frame not in changed]):
            raise UsageError(
                f"frames {_ranges(edited)} were edited too, and what was painted there is needed",
                "accept them first, or with these",
            )
        return [frame for frame in needed if self._job.read_frame(last_task(self._record.plan, frame), frame) is None]

    def _damaged(self) -> list[int]:
        """Frames that the film shows as they were painted, and whose files are others now, such as edited ones.

        Raises UsageError where they cannot be painted again, DamagedError where no such frame is found.
        """
        plan, corrections = self._record.plan, self._job.corrections()
        names = {task.id: task for task in plan_tasks(plan) if task.pass_index == plan.passes}
        intact = {frame for task in names.values() for frame in self._job.intact_frames(task)}
        damaged = [frame for frame in plan.frames if frame not in intact and corrections.shown(frame) is None]
        if not damaged:
            raise DamagedError(f"a corrected picture of {self._job.url} is gone or damaged", "farm status --verify")
        try:
            check_frames_kept(self._job)
        except UsageError as error:
            problem = f"frames {_ranges(damaged)} were edited or damaged, and {error.problem}"
            raise UsageError(problem, "accept them too") from None
        return damaged

    def _check_paints_alike(self, frames: Sequence[int]) -> None:
        """Raise UsageError where what was painted in `frames` would not come out as it was."""
        from farm.render.software import check_paints_alike  # loads torch

        check_paints_alike(self._record, f"frames {_ranges(frames)}" if len(frames) > 1 else f"frame {frames[0]}")

    def _paint_again(self, frames: Sequence[int]) -> None:
        """Paint what the last pass had painted in frames whose files were edited or damaged, as a worker would."""
        from farm.render.chunk import ChunkRenderer  # loads torch, and most corrections paint nothing

        self._note(f"frames {_ranges(frames)} are painted again, as they were before they were edited")
        names = {last_task(self._record.plan, frame) for frame in frames}
        ledgers = {name: self._job.ledger(name) for name in names}
        renderer = ChunkRenderer(self._job.url, worker="farm accept")
        for task in plan_tasks(self._record.plan):
            if task.id in names:
                for done, report in enumerate(renderer.render(task)):
                    self._show("paint", done, len(task.frames))
                    if report.record.sha256 != ledgers[task.id][report.frame].sha256:
                        self._note(f"frame {report.frame} came out differently: this machine computes otherwise")
        self._job.forget()

    def _carried(self, sources: Sources, wanted: Corrections) -> dict[int, CorrectedFrame]:
        """By frame: those that corrections are carried into, and those that go back as none reaches them any more."""

        def accepted(frame: int) -> np.ndarray:
            version = wanted.shown(frame)
            image = self._job.read_version(frame, version) if version else None
            if version is None or image is None:
                raise DamagedError(f"the accepted picture of frame {frame} is gone or damaged in {self._job.url}")
            return image

        carrier = None
        carried: dict[int, CorrectedFrame] = {}
        for done, (frame, (before, after)) in enumerate(sorted(sources.items())):
            self._show("carry", done, len(sources))
            one, image = wanted.get(frame), None
            if before is not None or after is not None:
                carrier = carrier or CorrectionCarrier(self._job, self._record, wanted.sources, accepted)
                image = carrier.carried(frame, before, after)
            if image is not None:
                one, picture = _added(one or _uncorrected(self._job, self._record, frame), "carried", encode_png(image))
                self._job.store_versions(picture)
                carried[frame] = one
            elif one is not None:
                carried[frame] = one.model_copy(update={"shown": 1, "held": False})
        return carried

    def _stitch(self, corrections: Corrections) -> str | None:
        """Make the film of a finished job anew unless it shows these corrections. Returns where it is."""
        output, report = self._record.spec.output, self._report
        if report is None:
            self._note("the film is not finished yet: farm resume makes it, with these pictures")
            return None
        shows_them = report.get("corrections", "") == corrections.digest
        if shows_them and output_size(output) == report.get("output_bytes"):
            return output
        segments, frames = Segments(self._job, self._record), len(self._record.plan.frames)
        segments.sweep(output)
        self._job.sweep()

        def stitch() -> None:
            stitch_film(self._job, self._record, output, lambda frame: self._show("stitch", frame, frames))

        try:
            stitch()
        except DamagedError:
            damaged = self._damaged()
            self._check_paints_alike(damaged)
            self._paint_again(damaged)
            stitch()
        about = {
            "output_bytes": output_size(output),
            "output_sha256": output_sha256(output),
            "corrections": corrections.digest,
        }
        self._job.save_report({**report, **about})
        with contextlib.suppress(StorageError):  # left-over segments only take room
            segments.remove()
        return output


def affected(record: JobRecord, before: Corrections, wanted: Corrections, changed: Collection[int]) -> Sources:
    """By frame: the accepted frames on both sides that it is made from, for all frames that must be made anew.

    They are those that one of the `changed` frames reaches or has reached, and no frame that a person chose.
    """
    shots = [(shot.start, shot.stop) for shot in record.plan.shots]
    old, new = (carried_from(one.sources, one.held, shots) for one in (before, wanted))
    none = (None, None)
    return {
        frame: new.get(frame, none)
        for frame in sorted({*old, *new} - wanted.held - set(changed))
        if old.get(frame, none) != new.get(frame, none) or set(changed) & {*new.get(frame, none)}
    }


def _record_to_correct(job: JobDirectory) -> JobRecord:
    """The record of a job whose frames can be corrected. Raises UsageError where they are gone."""
    job.forget()
    record, report = job.load_record(), job.load_report()
    assert record is not None
    if record.save_storage:
        raise UsageError(
            f"the frames of {job.url} are gone: it was rendered with --save-storage", "render it without, to correct it"
        )
    if report is not None and report.get("keep") == "film":
        check_frames_kept(job)
    return record


def _check_painted(job: JobDirectory, record: JobRecord, frames: Iterable[int]) -> None:
    """Raise UsageError where the job does not have one of `frames`, or the last pass has not painted it yet."""
    plan, wanted = record.plan, list(frames)
    if beyond := [frame for frame in wanted if frame not in plan.frames]:
        raise UsageError(f"frames {_ranges(beyond)} are not in this job, which renders {plan.frames}")
    if missing := [frame for frame in wanted if frame not in job.ledger(last_task(plan, frame))]:
        raise UsageError(f"frames {_ranges(missing)} are not painted yet", "farm resume goes on with the job")


def _with_accepted(
    job: JobDirectory, record: JobRecord, given: Mapping[int, GivenPicture], again: Collection[int], reach: int
) -> tuple[Corrections, dict[tuple[int, int], bytes]]:
    """The job's corrections with what was given shown, and with what was accepted `again` carried; and new pictures.

    One that is given again just as it is shown stays as far carried as it was, unless `reach` says more.
    """
    before = job.corrections()
    frames: list[CorrectedFrame] = []
    pictures: dict[tuple[int, int], bytes] = {}
    for frame, picture in given.items():
        one = before.get(frame) or _uncorrected(job, record, frame)
        as_shown = one.held and one.current.origin == "accepted" and one.current.sha256 == picture.sha256
        far = reach or (one.current.reach if as_shown else 0)
        edited = picture.edited or (one.current.edited if as_shown else "")
        shown, new = _added(one, "accepted", picture.data, edited=edited, reach=far)
        frames, pictures = [*frames, shown], {**pictures, **new}
    for frame in again:
        accepted = before.get(frame)
        assert accepted is not None
        data = job.storage.read(version_name(frame, accepted.shown))
        if data is None or hashlib.sha256(data).hexdigest() != accepted.current.sha256:
            raise DamagedError(f"the accepted picture of frame {frame} is gone or damaged in {job.url}")
        shown, new = _added(accepted, "accepted", data, edited=accepted.current.edited, reach=reach)
        frames, pictures = [*frames, shown], {**pictures, **new}
    return before.with_frames(frames), pictures


def _with_restored(job: JobDirectory, record: JobRecord, one: CorrectedFrame, number: int) -> Corrections:
    """The job's corrections with picture `number` of a frame shown.

    What was painted is free again, so that later corrections reach it, unless one reaches it now: then it was chosen.
    """
    before = job.corrections()
    free = before.with_frames([one.model_copy(update={"shown": number, "held": False})])
    shots = [(shot.start, shot.stop) for shot in record.plan.shots]
    held = number > 1 or one.frame in carried_from(free.sources, free.held, shots)
    return before.with_frames([one.model_copy(update={"shown": number, "held": held})])


def _added(
    one: CorrectedFrame, origin: Origin, data: bytes, *, edited: str = "", reach: int = 0
) -> tuple[CorrectedFrame, dict[tuple[int, int], bytes]]:
    """The frame with the picture `data` shown, and that picture by frame and number; none where it has had it."""
    digest, added = hashlib.sha256(data).hexdigest(), round(time.time(), 3)
    version = Version(number=0, origin=origin, sha256=digest, edited=edited, reach=reach, added=added)
    shown = one.showing(version, held=origin == "accepted")
    return shown, {(one.frame, shown.shown): data} if shown.shown > len(one.versions) else {}


def _uncorrected(job: JobDirectory, record: JobRecord, frame: int) -> CorrectedFrame:
    return with_painted(frame, job.ledger(last_task(record.plan, frame))[frame].sha256)


def _ranges(frames: Iterable[int]) -> str:
    return ", ".join(map(str, runs(frames)))
