"""What `farm submit` asks of a cluster: `request.json` in the job's storage, and the ids of submissions.

The spec travels through the job's storage, never through the Jobs API: what is submitted there is a URL.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Collection
from pathlib import PurePosixPath

from pydantic import AliasChoices, Field, ValidationError

from farm import __version__
from farm.errors import StorageError
from farm.files.names import shortened
from farm.files.remote import file_name
from farm.job.directory import JobDirectory
from farm.plan.fair_share import DEFAULT_PRIORITY
from farm.plan.queue import DEFAULT_RESTARTS
from farm.spec import Model, RenderSpec
from farm.spec.choices import Keep

TWO_LETTERS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss", "ẞ": "SS"}
    | {"æ": "ae", "Æ": "Ae", "ø": "oe", "Ø": "Oe", "œ": "oe", "Œ": "Oe", "þ": "th", "Þ": "Th"}
    | {"å": "aa", "Å": "Aa", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "ı": "i"}
)
"""Letters that Unicode does not take apart, and those that become two."""


class JobRequest(Model):
    """A submitted job. `dashboard` is the address of the cluster, `submissions` are its ids there, oldest first.

    `farm` is the version that submitted it, `owner` the user who did. With `mixed`, workers of other software than the
    job's take part. None for `workers` or `threads` leaves the number to the cluster. `restarts` is how often the job
    is begun again after its driver died.
    """

    spec: RenderSpec
    workers: int | None = Field(default=None, ge=1)
    threads: int | None = Field(default=None, ge=1)
    priority: int = Field(default=DEFAULT_PRIORITY, ge=1, le=1000)
    restarts: int = Field(default=DEFAULT_RESTARTS, ge=0, le=100)
    overwrite: bool = False
    mixed: bool = False
    save_storage: bool = Field(default=False, validation_alias=AliasChoices("save_storage", "spare_storage"))
    keep: Keep = "all"
    farm: str = __version__
    owner: str = ""
    dashboard: str = ""
    submissions: tuple[str, ...] = ()


def load_request(job: JobDirectory) -> JobRequest | None:
    """The request of this job. None where nothing was submitted. Raises StorageError for a damaged file."""
    data = job.storage.read("request.json")
    try:
        return None if data is None else JobRequest.model_validate_json(data)
    except ValidationError:
        raise StorageError(f"{job.url}/request.json is damaged or of another version of the farm") from None


def save_request(job: JobDirectory, request: JobRequest) -> None:
    """Write `request.json`. Raises StorageError."""
    job.storage.write("request.json", request.model_dump_json(indent=1).encode())


def submission_base(job_url: str, spec: RenderSpec) -> str:
    """First id of a job, such as `farm-bikes-1a2b3c4d5e`. The same job and spec have the same one everywhere."""
    parts = json.dumps([job_url, spec.model_dump(mode="json")], sort_keys=True)
    name = re.sub(r"[^a-z0-9]+", "-", in_ascii(film_title(spec)).lower()).strip("-")[:24]
    return "-".join(part for part in ("farm", name, hashlib.sha256(parts.encode()).hexdigest()[:10]) if part)


def in_ascii(text: str) -> str:
    """Letters of the Latin alphabet without their marks, umlauts in two letters; characters of other scripts are lost.

    >>> in_ascii("Über Ærø, Łódź"), in_ascii("東京")
    ('Ueber Aeroe, Lodz', '')
    """
    text = unicodedata.normalize("NFC", text).translate(TWO_LETTERS)
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def next_submission(base: str, taken: Collection[str]) -> str:
    """The first id that is not `taken`: `base`, then `base-2`, `base-3`, ...

    >>> next_submission("farm-bikes", ["farm-bikes", "farm-bikes-2"])
    'farm-bikes-3'
    """
    number = 1 + sum(1 for name in taken if submission_number(base, name))
    while number > 1 and f"{base}-{number}" in taken:
        number += 1
    return base if number == 1 else f"{base}-{number}"


def submission_number(base: str, name: str) -> int:
    """1 for `base`, 2 for `base-2`, and so on; 0 for the id of another job."""
    if name == base:
        return 1
    later = re.fullmatch(re.escape(base) + r"-(\d+)", name)
    return int(later[1]) if later else 0


def film_title(spec: RenderSpec) -> str:
    """The film's name without folder and extension, as one line that is not too long to be shown."""
    name = PurePosixPath(file_name(spec.video)).stem
    return shortened("".join(letter if letter.isprintable() else "?" for letter in name))


def user_name() -> str:
    """The name of the user who runs this process, or its number where it has no name, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def job_title(spec: RenderSpec) -> str:
    """What a job is called in lists: its film, its styles, and which frames where it is not the whole film."""
    styles = _style_names(spec)
    title = f"{file_name(spec.video)} as {styles}" if styles else file_name(spec.video)
    return f"{title}, frames {spec.frames}" if spec.frames else title


def job_metadata(job_url: str, spec: RenderSpec, owner: str = "", priority: int = DEFAULT_PRIORITY) -> dict[str, str]:
    """What Ray's dashboard shows of a job: file names without folders, queries or anything secret."""
    return {
        "job_name": job_title(spec),
        "farm_job": job_url,
        "owner": owner,
        "priority": str(priority),
        "video": file_name(spec.video),
        "size": str(spec.size or "source"),
        "styles": _style_names(spec),
        "method": spec.method,
        "output": file_name(spec.output),
    }


def _style_names(spec: RenderSpec) -> str:
    """File names of the paintings, those of a timeline too, each once."""
    styles = (*spec.styles, *(spec.timeline.paintings if spec.timeline else ()))
    return ", ".join(dict.fromkeys(file_name(style.path) for style in styles))
