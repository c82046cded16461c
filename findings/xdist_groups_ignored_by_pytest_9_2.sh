#!/usr/bin/env bash
# pytest-xdist's groups have no effect under pytest 9.2, and nothing says so.
#
# Package:  pytest-xdist 3.8.0 with pytest 9.2.0, and with 9.0.2 to compare
# Guess:    `--dist loadgroup` runs all tests of one `xdist_group` in one worker. If a new pytest broke that, the run
#           would fail or warn.
# Seen:     pytest 9.0.2: the 40 tests of a group ran in one of two workers. pytest 9.2.0: in both. No warning; all
#           tests pass. (xdist marks a group by writing `item._nodeid`, which pytest 9.2 does not read any more.)
# So:       A session-scoped fixture that a group was to share (a server, a cluster) is made once for each worker: the
#           suite stays green and takes twice as long. Deal tests out by file (`--dist loadfile`), or check the ids.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/test_group.py" <<'PY'
import os
import time

import pytest


@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(40))
def test_of_the_group(number):
    time.sleep(0.02)
    with open(os.environ["SEEN"], "a") as seen:
        seen.write(os.environ["PYTEST_XDIST_WORKER"] + "\n")
PY
for version in 9.0.2 9.2.0; do
  python3 -m venv "$folder/venv-$version"
  "$folder/venv-$version/bin/pip" install --quiet "pytest==$version" "pytest-xdist==3.8.0"
  export SEEN="$folder/workers-$version"
  (cd "$folder" && "$folder/venv-$version/bin/python" -m pytest -q -p no:cacheprovider -n 2 --dist loadgroup -W error test_group.py)
  echo "pytest $version: the group ran in $(sort -u "$SEEN" | tr '\n' ' ')"
done
test "$(sort -u "$folder/workers-9.0.2" | wc -l)" = 1
test "$(sort -u "$folder/workers-9.2.0" | wc -l)" = 2
echo "as described"
