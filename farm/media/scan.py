"""One pass over a film for both its probe and its cuts."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass, field
from typing import IO

import av
import numpy as np
from av.filter import Graph

from farm.media.probe import Progress, walk_video
from farm.media.shots import THUMBNAIL_SIZE, find_cuts
from farm.plan.video import VideoScan

_BLOCK = 8
"""Scores are taken on a grey picture this many times the thumbnail: small enough to be cheap, and to ignore grain."""


def scan_video(path: str, *, allow_truncated: bool = False, progress: Progress | None = None) -> VideoScan:
    """Probe and find cuts, decoding once. Raises VideoError as `probe_video` does."""
    with contextlib.ExitStack() as held:

        def new_meter() -> SceneMeter:
            return held.enter_context(contextlib.closing(SceneMeter()))

        probe, meter = walk_video(path, new_meter, allow_truncated=allow_truncated, progress=progress)
        longest_flash = max(round(probe.frame_rate / 4), 2)
        return VideoScan(probe, find_cuts(meter.scores, meter.thumbnails, longest_flash=longest_flash))


@dataclass
class SceneMeter:
    """Takes ffmpeg's scene score and a grey thumbnail of every frame it is shown. It holds a file until `close`."""

    scores: list[float] = field(default_factory=list)
    # On disk, because those of a feature film are 150 MB.
    _thumbnails: IO[bytes] = field(default_factory=tempfile.TemporaryFile)
    _graph: Graph | None = None

    @property
    def thumbnails(self) -> np.ndarray:
        """(frames, 18, 32) uint8, grey; read from the disk as they are looked at."""
        self._thumbnails.flush()
        width, height = THUMBNAIL_SIZE
        return np.memmap(self._thumbnails, np.uint8, "r", shape=(len(self.scores), height, width))

    def close(self) -> None:
        """Remove the thumbnails from the disk."""
        self._thumbnails.close()

    def visit(self, frame: av.VideoFrame) -> None:
        """Note the score and the thumbnail of the next frame."""
        if self._graph is None:
            self._graph = _score_graph(frame)
        self._graph.push(frame)
        scored = self._graph.pull()
        assert isinstance(scored, av.VideoFrame)
        self.scores.append(float(scored.metadata["lavfi.scene_score"]))
        width, height = THUMBNAIL_SIZE
        grey = scored.to_ndarray().reshape(height, _BLOCK, width, _BLOCK)
        self._thumbnails.write(grey.mean(axis=(1, 3)).astype(np.uint8).tobytes())


def _score_graph(frame: av.VideoFrame) -> Graph:
    graph = Graph()
    width, height = THUMBNAIL_SIZE
    graph.link_nodes(
        graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base),
        graph.add("scale", f"{width * _BLOCK}:{height * _BLOCK}:flags=area"),
        graph.add("format", "gray"),
        graph.add("select", "gte(scene,0)"),
        graph.add("buffersink"),
    ).configure()
    return graph
