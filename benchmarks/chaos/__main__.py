"""Does a render survive everything? Each row breaks something, runs the same command again where it must, and compares.

    python -m benchmarks.chaos                       all faults: make test-chaos
    python -m benchmarks.chaos --seed 7 --only disk  other moments; only rows whose name has this word

Prints a row per fault, as soon as it is through: what was broken, when, how the commands ended; the recovery; how many
frames were committed again that had been before; and whether every frame of every stage, and the pictures of the film,
are bit for bit those of an undisturbed render. The recovery is in seconds: where a worker was lost, until its task went
on; where an ffmpeg was killed, until what it was writing was there; where the command ended, from the start of the next
one, which starts Ray, until it committed a frame, a segment or the film. Nothing stands there if nothing had to
recover. Writes chaos.json. Exits with 1 unless all are identical.

The film is two seconds of 64 pixels, painted in three steps a frame, in chunks and two passes; a run of it is
mostly the start of Ray. A command that takes longer than COMMAND_SECONDS is killed, and its row is wrong. Faults of a
full disk need a small file system of their own, which takes root; without it they are left out.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.chaos.faults import FAULTS
from benchmarks.chaos.harness import Bench, Row, line


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", default="", help="rows whose name has this word")
    options.add_argument("--output", "-o", type=Path, default=Path("chaos.json"))
    given = options.parse_args()
    began = time.monotonic()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="farm-chaos-") as name:
        bench = Bench(Path(name), given.seed)
        print(f"{bench.total} frames of all stages; undisturbed in {time.monotonic() - began:.0f} s with one cut off")
        print(f"{'fault':<40} {'when':<44} {'exit codes':<11} {'recovery':>8} {'twice':>5}  identical", flush=True)
        for fault, break_it in FAULTS.items():
            if given.only not in fault:
                continue
            try:
                row = break_it(bench, fault)
            except Exception as error:  # the others are to be seen all the same
                row = Row(fault, identical=f"{type(error).__name__}: {error}")
            rows.append(row)
            print(line(row), flush=True)
            given.output.write_text(json.dumps([dataclasses.asdict(row) for row in rows], indent=1))
            if row.identical not in ("yes", "left out") and row.says:
                print(f"    {row.says}", flush=True)
    wrong = [row for row in rows if row.identical not in ("yes", "left out")]
    ran = sum(row.identical == "yes" for row in rows)
    print(f"seed {given.seed}: {ran} of {len(rows)} identical, {len(wrong)} wrong, in {time.monotonic() - began:.0f} s")
    return int(bool(wrong) or not ran)


if __name__ == "__main__":
    sys.exit(main())
