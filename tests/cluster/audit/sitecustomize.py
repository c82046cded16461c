"""Python runs this first in every process whose PYTHONPATH has this folder: it notes what is written and started.

A line of JSON in $FARM_AUDIT for each file that is opened for writing, made, moved or removed, and each command.
"""

import json
import os
import sys
from pathlib import Path

LOG = os.environ.get("FARM_AUDIT")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
PATHS = {"os.rename": 2, "os.remove": 1, "os.mkdir": 1, "os.rmdir": 1, "os.link": 2, "os.symlink": 2, "os.truncate": 1}


def note(event: str, arguments: tuple) -> None:
    if event == "open":
        path, mode, flags = arguments
        writes = flags & WRITING if isinstance(flags, int) and flags else set(mode or "") & set("wax+")
        said = [path] if writes and not isinstance(path, int) else []
    elif event in PATHS:
        # with a folder that is open, as in the removal of a tree, a name is relative to it
        folder = arguments[-1] if event in ("os.remove", "os.mkdir", "os.rmdir") else -1
        said = arguments[: PATHS[event]]
        if isinstance(folder, int) and folder >= 0:
            said = [os.fspath(Path(f"/proc/self/fd/{folder}").readlink() / os.fsdecode(one)) for one in said]
    elif event == "subprocess.Popen":
        said = arguments[1]
    else:
        return
    if said:
        texts = [os.fsdecode(one) for one in said if isinstance(one, (str, bytes, os.PathLike))]
        os.write(FILE, (json.dumps([os.getpid(), event, *texts]) + "\n").encode())


if LOG:
    FILE = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    sys.addaudithook(note)
