"""How long chunks are where the user does not say: from the frames, the workers, and the pace where it is known. Pure.

    longest = chunk_length([48], workers=2)                            # 4: twelve chunks
    longest = chunk_length([7200], workers=2, frame_seconds=9.0)       # 20: tasks of three minutes

Frames do not depend on chunks, so this concerns time alone. Short chunks keep every worker busy to the end, and let
later passes of a shot begin while its first pass goes on; each costs a task that is handed out, and the frames of its
neighbours that are read once more.
"""

from __future__ import annotations

from collections.abc import Sequence

USUAL_LENGTH = 48
"""Most frames of a chunk where no pace is known."""
SHORTEST_LENGTH = 4
"""Least frames of a chunk, unless there would be fewer chunks than workers."""
SMALLEST_LENGTH = 2
"""Least frames of any chunk but a shot's only one, as `--chunk-frames` allows."""
MOST_LENGTH = 240
"""Most frames of a chunk, however fast they are painted. The film is encoded in segments of about as many."""
TASK_SECONDS = 180.0
"""Seconds of a task in a later pass, where the pace is known.

Why: a worker that is lost costs its task at most, and the last tasks of a film end at different times.
"""
CHUNKS_PER_WORKER = 6
"""Chunks of a film for each worker, where frames allow it.

Why: with one or two, workers wait for the first pass to leave the shot, and for the last chunk. On 48 frames of one
shot, two workers painted for 92 % and 95 % of the time with 6 chunks, and for 98 % and 99 % with 12.
"""


def chunk_length(runs: Sequence[int], workers: int | None, frame_seconds: float | None = None) -> int:
    """The most frames that a chunk may have. `runs` are the frames of each shot, or of each half of a long one.

    `workers` is how many there may be, None for an unknown number. `frame_seconds` is what a frame of a later pass
    takes, in seconds of one worker; None where that is not known. There are at least as many chunks as workers,
    where that many chunks of SMALLEST_LENGTH frames can be made.

    >>> chunk_length([48], workers=2), chunk_length([48], workers=None), chunk_length([4], workers=2)
    (4, 48, 3)
    """
    longest = USUAL_LENGTH
    if frame_seconds:
        longest = min(max(int(TASK_SECONDS / frame_seconds), SHORTEST_LENGTH), MOST_LENGTH)
    if workers is None:
        return longest
    longest = min(longest, max(sum(runs) // (workers * CHUNKS_PER_WORKER), SHORTEST_LENGTH))
    while longest > SMALLEST_LENGTH and chunk_count(runs, longest) < workers:
        longest -= 1
    return longest


def chunk_count(runs: Sequence[int], longest: int) -> int:
    """How many chunks of at most `longest` frames the runs are cut into.

    >>> chunk_count([48, 10], 48)
    2
    """
    return sum(-(-run // longest) for run in runs)
