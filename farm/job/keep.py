"""What of a job's files stays once its film is there: `--keep all`, `frames` or `film`.

    all       everything: frames of every pass, flow, masks. `farm retry --frames` can make any frame again.
    frames    the frames of the last pass, of which the film was made. Earlier passes, flow and masks go.
    film      the film only. Frames of all passes, flow, masks and segments go.

The record, the ledgers, the history and the report stay in any case, so that `farm status` and `farm report` tell what
the render was.
"""

from __future__ import annotations

from farm.errors import UsageError
from farm.job.directory import JobDirectory
from farm.job.record import JobRecord
from farm.plan import task_id
from farm.spec.choices import Keep

FOLDERS = ("frames", "flow", "masks", "segments")
"""Folders whose files may go. A farm that is finished otherwise has no segments, except with --save-storage."""


def give_up(job: JobDirectory, record: JobRecord, keep: Keep) -> str:
    """Remove what does not stay, and return one line that says what went and what stays. Raises StorageError.

    Only for a driver that holds the lease, once film and report are written.
    """
    if keep == "all":
        return ""
    kept_folder = f"frames/{task_id(record.plan.passes, 0).partition('/')[0]}/" if keep == "frames" else ""
    gone = []
    for folder in FOLDERS:
        names = job.storage.names(folder)
        unwanted = [name for name in names if not kept_folder or not name.startswith(kept_folder)]
        job.storage.remove_all(unwanted)
        if unwanted:
            gone.append(f"{len(unwanted)} in {folder}/")
    stays = "the film, its report and its ledgers" if keep == "film" else "the film and the frames of its last pass"
    return f"--keep {keep}: removed {', '.join(gone) or 'nothing'}; {stays} stay"


def check_frames_kept(job: JobDirectory) -> None:
    """Raise UsageError where the frames of a finished job were removed, so that none can be made from them again."""
    report = job.load_report()
    keep = report.get("keep", "all") if report else "all"
    if keep != "all":
        raise UsageError(
            f"the frames that others are made of are gone from {job.url}: it was rendered with --keep {keep}",
            f"remove {job.url} and render the film anew with --keep all",
        )
