"""Lengths of time as people write them, `10m`, `90s`, `1.5h`, `1h30m`, and as they read them."""

from __future__ import annotations
