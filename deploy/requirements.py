"""Print what a pyproject.toml asks for, one requirement a line: `python requirements.py pyproject.toml s3 aws`.

The words after the file are extras. The image installs these before the farm itself is copied, so that a change of code
does not install Ray and PyTorch again; lock.sh chooses their versions.
"""

import sys
from pathlib import Path

import tomllib


def requirements(pyproject: str, extras: list[str]) -> list[str]:
    """The build requirements, the dependencies and those of `extras`, in the order of the file."""
    content = tomllib.loads(pyproject)
    project = content["project"]
    optional = [line for extra in extras for line in project["optional-dependencies"][extra]]
    return [*content["build-system"]["requires"], *project["dependencies"], *optional]


if __name__ == "__main__":
    path, *extras = sys.argv[1:]
    print("\n".join(requirements(Path(path).read_text(), extras)))
