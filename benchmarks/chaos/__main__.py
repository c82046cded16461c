"""Does a render survive everything? Each row breaks something, runs the same command again where it must, and compares.

    python -m benchmarks.chaos                       all faults: make test-chaos
    python -m benchmarks.chaos --seed 7 --only disk  other moments; only rows whose name matches
    python -m benchmarks.chaos --kind keys           another kind of render, of keyframes alone, where renderers and
                                                     drivers are lost; timeline and steady are further kinds

Prints a row for each fault, as soon as it is through: what was broken and when, how the commands ended, the
recovery, and how many frames were committed that had been committed before. The last column says whether every frame of
every pass, and the pictures of the film, are bit for bit those of an undisturbed render. The last rows break nothing:
names, folders and readers are odd. Writes chaos.json, and exits
with 1 unless all are identical.

The recovery is in seconds. Where a worker was lost, it lasts until its task went on; where an ffmpeg was killed, until
what it was writing was there. Where the command ended, it lasts from the start of the next command, which starts Ray,
until that has committed a frame, a segment or the film. The column is empty where nothing had to recover.

The film is two seconds of 64 pixels, painted in three steps a frame, in chunks and two passes: most of a run is the
start of Ray. A command that takes longer than COMMAND_SECONDS is killed, and its row is wrong. Faults of a full disk
need a small file system of their own, which takes root. Without root they are left out.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.chaos.faults import FAULTS
from benchmarks.chaos.harness import KINDS, Bench, Row
from benchmarks.chaos.places import PLACES

GOOD = ("yes", "left out")
LOSSES = r"^SIG\w+ (of|to) (a renderer|renderers, again and again|the driver)$|^two drivers$"
"""The faults of other kinds of render than that with a style. What files and disks do does not depend on the kind."""


def line(row: Row) -> str:
    """A row of the table."""
    recovery = "" if row.recovery < 0 else f"{row.recovery:.1f} s"
    codes = ",".join(map(str, row.codes))
    return f"{row.fault:<40} {row.when:<44} {codes:<11} {recovery:>8} {row.twice:>5}  {row.identical}"


def run_faults(bench: Bench, word: str, output: Path) -> list[Row]:
    """Break what has a match of `word` in its name, one after the other; print each row and keep all in `output`."""
    rows: list[Row] = []
    for fault, break_it in {**FAULTS, **PLACES}.items():
        if not re.search(word, fault):
            continue
        try:
            row = break_it(bench, fault)
        except Exception as error:  # the other faults are to be seen all the same
            row = Row(fault, identical=f"{type(error).__name__}: {error}")
        rows.append(row)
        print(line(row), flush=True)
        output.write_text(json.dumps([dataclasses.asdict(row) for row in rows], indent=1))
        if row.identical not in GOOD and row.says:
            print(f"    {row.says}", flush=True)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    parser.add_argument("--only", help="rows whose name has a match of this regular expression")
    parser.add_argument("--output", "-o", type=Path, default=Path("chaos.json"))
    parser.add_argument("--kind", default="style", choices=KINDS, help="of the render")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="farm-chaos-") as name:
        bench = Bench(Path(name), options.seed, options.kind)
        print(f"{bench.total} frames of all passes; undisturbed in {time.monotonic() - began:.0f} s with one cut off")
        print(f"{'fault':<40} {'when':<44} {'exit codes':<11} {'recovery':>8} {'twice':>5}  identical", flush=True)
        everything = "" if options.kind == "style" else LOSSES
        rows = run_faults(bench, everything if options.only is None else options.only, options.output)
    wrong = sum(row.identical not in GOOD for row in rows)
    ran = sum(row.identical == "yes" for row in rows)
    print(f"seed {options.seed}: {ran} of {len(rows)} identical, {wrong} wrong, in {time.monotonic() - began:.0f} s")
    return int(bool(wrong) or not ran)


if __name__ == "__main__":
    sys.exit(main())
