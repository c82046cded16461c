"""Seconds a step and a frame by stage, and frames an hour: what `farm bench` prints, with the same options.

python benchmarks/throughput.py VIDEO --style IMG --size 512 --frames 0-23 --workers 2 --folder throughput/
"""

import sys

from farm.cli.main import main

if __name__ == "__main__":
    sys.argv.insert(1, "bench")
    main()
