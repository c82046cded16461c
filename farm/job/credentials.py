"""Secrets in URLs, and the refusal to keep them in a job directory."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

from farm.errors import UsageError
from farm.files.remote import file_name
from farm.spec import RenderSpec
from farm.spec.named_files import input_files

SECRET_WORDS = ("signature", "credential", "token", "password", "passwd", "secret", "apikey", "accesskey")
"""Parts of the names of query parameters that give access: links signed for S3, GCS or Azure, and API keys."""
SECRET_NAMES = ("sig", "pwd", "auth")
"""Whole names of such parameters, which are too short to look for inside other names."""


def check_no_secrets(job_url: str, spec: RenderSpec) -> None:
    """Check the job's URL and every URL in its spec. Raises UsageError where one carries a password or a key.

    Why: it would stand in the job's files, in logs and in `ps`.
    """
    for path in [job_url, spec.output, *input_files(spec), spec.flow_dir or ""]:
        if has_credentials(path):
            raise UsageError(
                f"the URL of {file_name(path)} contains credentials",
                "leave them out of the URL and give them to the nodes in their environment (s3:// reads those)",
            )


def has_credentials(path: str) -> bool:
    """Whether `path` is a URL with a user, a password, a signature or a key in it."""
    if "://" not in path:
        return False
    parts = urlsplit(path)
    names = [re.sub(r"[-_]", "", name.lower()) for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    return "@" in parts.netloc or any(
        name in SECRET_NAMES or any(word in name for word in SECRET_WORDS) for name in names
    )
