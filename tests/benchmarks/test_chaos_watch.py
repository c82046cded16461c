"""What the table of faults counts as rendered twice."""

from __future__ import annotations

from pathlib import Path

from benchmarks.chaos.watch import Watch
from farm.files import write_atomically


def test_frames_that_come_again_are_counted_and_damage_is_not(tmp_path):
    job = tmp_path / "out.farm"
    kept, damaged, deleted, new = (job / f"frames/pass-1/00000/{n:06d}.png" for n in range(4))
    for path in (kept, damaged, deleted):
        write_atomically(path, b"paint")
    watch = Watch(job, tmp_path / "out.mp4")
    damaged.write_bytes(b"faint")
    Path.unlink(deleted)
    watch.overlook()
    with watch:
        pass
    assert (watch.commits, watch.twice) == (0, 0)
    with watch:
        for path in (damaged, deleted, new):
            write_atomically(path, b"paint")
        assert watch.wait(lambda: watch.commits == 3, 10)
    assert watch.twice == 2
    with watch:
        write_atomically(new, b"paint")
        write_atomically(job / "segments/key/00000.json", b"{}")
        write_atomically(tmp_path / "out.mp4", b"film")
        assert watch.wait(lambda: watch.steps == 6, 10)
    assert (watch.commits, watch.twice) == (4, 3)
