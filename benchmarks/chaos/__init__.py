"""Faults of every kind, each broken, mended and compared with an undisturbed render: python -m benchmarks.chaos."""
