"""The files that a spec names, each checked and hashed once however many steps ask for them.

    inputs = Inputs()
    inputs.hashes(spec)      # paintings, masks, networks, weights: {path: SHA-256}
    inputs.scan(spec)        # the film: probe and cuts

One `Inputs` is handed from step to step of a command. It holds hashes and scans only, no pictures, so it is small
enough to travel to another process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from farm.errors import FlowFileError, InputError, PictureError, UsageError, WeightsError
from farm.files import local_path
from farm.files.remote import is_remote
from farm.media.pictures import read_picture
from farm.media.scan import scan_video
from farm.media.source import content_hash, open_source, pick_video_stream
from farm.paint.features.architectures import built_in_is_known, check_layers
from farm.plan.video import VideoScan
from farm.render.painted import PaintedFilm, look_at_painted
from farm.render.regions.files import read_mask_picture
from farm.spec import PaintSpec, RenderSpec
from farm.spec.named_files import BUILT_IN, picture_files, place_in_timeline, with_small_files_here
from farm.spec.paint import Region

MOST_BYTES = 1 << 31
"""Size of the largest file of a picture, a network or weights that is read, 2 GiB. Why: the bytes are held in memory
while they are hashed and decoded; 200 million pixels of 16-bit RGB, more than `read_picture` accepts, are 1.2 GB, and
the weights of a whole VGG-19 are .6 GB.
"""
_READ_BYTES = 1 << 20


class Inputs:
    """Remembers what it has read, by path. A file that changes during a command counts as it was when it was read."""

    def __init__(self) -> None:
        self._hashes: dict[tuple[str, str], str] = {}
        self._scans: dict[tuple[str, bool], VideoScan] = {}
        self._painted: dict[str, PaintedFilm] = {}

    def scan(self, spec: RenderSpec) -> VideoScan:
        """Probe and cuts of the spec's film, from one pass over it. Raises VideoError."""
        key = (spec.video, spec.allow_truncated)
        if key not in self._scans:
            self._scans[key] = scan_video(spec.video, allow_truncated=spec.allow_truncated)
        return self._scans[key]

    def painted(self, path: str) -> PaintedFilm:
        """A painted film, or a folder of its frames. Raises VideoError, PictureError or UsageError."""
        if path not in self._painted:
            self._painted[path] = look_at_painted(path)
        return self._painted[path]

    def hashes(self, spec: RenderSpec, *, built_in: bool = True) -> dict[str, str]:
        """The hash of every file that a render of `spec` reads, but the film, by path; each is checked before.

        Without `built_in`, the farm's own feature network is not looked at, so that torch is not loaded for it. The
        folder of given flow has the hash of its listing, because its files may be many gigabytes.
        Raises PictureError, VideoError, WeightsError, FlowFileError or UsageError for what cannot be used.
        """
        hashes = self._paintings(spec) | self.masks(spec.regions)
        if spec.method == "optimize" and (built_in or spec.features != BUILT_IN):
            hashes |= self.features(spec)
        hashes |= self._networks(spec)
        if spec.painted:
            hashes[spec.painted] = self.painted(spec.painted).content_hash
        if spec.flow_dir:
            hashes[spec.flow_dir] = self._once("listing", spec.flow_dir, _listing_hash)
        return hashes

    def features(self, spec: PaintSpec) -> dict[str, str]:
        """The hash of the feature network's file by path; empty for the built-in network, which has no file.

        Raises WeightsError, and UsageError for a layer that the network lacks.
        """
        names = ",".join([*spec.content_layers, *spec.style_layers, spec.features_input])

        def read(path: str) -> str:
            if path == BUILT_IN and built_in_is_known():
                check_layers("vgg19", [*spec.content_layers, *spec.style_layers])
                return ""
            from farm.paint.styler import load_network  # loads torch, which takes seconds

            data = None if path == BUILT_IN else read_bytes(local_path(path), WeightsError)
            load_network(with_small_files_here(spec), data)
            return "" if path == BUILT_IN else _digest(data)

        digest = self._once(f"features {names}", spec.features, read)
        return {} if spec.features == BUILT_IN else {spec.features: digest}

    def for_copying(self, spec: RenderSpec) -> dict[str, str]:
        """The hash of every local file that `spec` names, the film too, by path; each is opened as what it should be.

        It reads no more than that takes: the film is opened and hashed, but not scanned. Raises InputError or
        UsageError.
        """
        with open_source(spec.video) as film:
            pick_video_stream(film, spec.video)
        hashes = self._paintings(spec) | self.masks(spec.regions)
        if spec.features != BUILT_IN:
            hashes |= self.features(spec)
        hashes |= self._networks(spec)
        if spec.painted and not is_remote(spec.painted):
            if Path(spec.painted).is_dir():
                raise UsageError("a folder of painted frames is not copied", "put it on storage that the cluster sees")
            hashes[spec.painted] = self.painted(spec.painted).content_hash
        if not is_remote(spec.video):
            hashes[spec.video] = self._once("film", spec.video, content_hash)
        return hashes

    def _paintings(self, spec: PaintSpec) -> dict[str, str]:
        """The hash of every painting by path. Raises PictureError, which names the point of a timeline."""
        hashes = {}
        for path in picture_files(spec):
            try:
                hashes[path] = self._once("picture", path, _picture_hash)
            except PictureError as error:
                place = place_in_timeline(spec, path)
                raise PictureError(f"{place}: {error.problem}" if place else error.problem, error.remedy) from None
        return hashes

    def masks(self, regions: Iterable[Region]) -> dict[str, str]:
        """The hash of every mask file by path; each is read, or opened, before. Raises PictureError or VideoError."""
        return {
            region.mask: self._once("mask", region.mask, _mask_hash if region.is_picture else _mask_film_hash)
            for region in regions
        }

    def _networks(self, spec: RenderSpec) -> dict[str, str]:
        """Of the trained network and of RAFT's weights, where the spec names them."""
        hashes = {}
        if spec.network:
            hashes[spec.network] = self._once("network", spec.network, _network_hash)
        if spec.flow_weights:
            hashes[spec.flow_weights] = self._once("flow weights", spec.flow_weights, _flow_weights_hash)
        return hashes

    def _once(self, kind: str, path: str, read: Callable[[str], str]) -> str:
        """The hash that `read(path)` returns, asked for only the first time. One file may be read as two kinds."""
        if (kind, path) not in self._hashes:
            self._hashes[kind, path] = read(path)
        return self._hashes[kind, path]


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, read in pieces of 1 MiB. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def read_bytes(path: Path, refusal: type[InputError] = PictureError) -> bytes | None:
    """The bytes of a file; None where there is no such file, which the function that decodes them then says.

    Raises `refusal` for a file that cannot be read, or that is larger than MOST_BYTES.
    """
    if not path.is_file():  # a pipe or a device would be waited for
        return None
    if path.stat().st_size > MOST_BYTES:
        raise refusal(f"{path} has more than {MOST_BYTES >> 30} GiB", "give a smaller file")
    try:
        return path.read_bytes()
    except OSError as error:
        raise refusal(f"{path} cannot be read: {error.strerror}", "check its permissions") from None


def _digest(data: bytes | None) -> str:
    return hashlib.sha256(data or b"").hexdigest()


def _picture_hash(path: str) -> str:
    local = local_path(path)
    data = read_bytes(local)
    read_picture(local, data=data)
    return _digest(data)


def _mask_hash(path: str) -> str:
    local = local_path(path)
    data = read_bytes(local)
    read_mask_picture(local, data=data)
    return _digest(data)


def _mask_film_hash(path: str) -> str:
    with open_source(path) as film:
        pick_video_stream(film, path)
    return content_hash(path)


def _network_hash(path: str) -> str:
    from farm.paint.network.network_file import load_network_file

    here = local_path(path)
    data = read_bytes(here, WeightsError)
    load_network_file(here, data)
    return _digest(data)


def _flow_weights_hash(path: str) -> str:
    from farm.flow.raft import load_raft_weights

    here = local_path(path)
    data = read_bytes(here, WeightsError)
    load_raft_weights(here, data)
    return _digest(data)


def _listing_hash(folder: str) -> str:
    """The hash of the names, sizes and times of a folder's files."""
    try:
        rows = sorted((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in Path(folder).iterdir())
    except OSError as error:
        raise FlowFileError(f"flow directory {folder} cannot be read: {error.strerror}", "check --flow-dir") from None
    return hashlib.sha256(repr(rows).encode()).hexdigest()
