"""Still pictures: whatever a user has, in as uint8 sRGB (H, W, 3); PNG or JPEG out, whole or not at all."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from farm.errors import OutputError, PictureError, first_line
from farm.files import write_atomically

MAX_PIXELS = 200_000_000
"""Pixels above which a picture is refused before it is decoded.

Why: it would take 600 MB, and may be a decompression bomb.
"""

_FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "TIFF", "GIF", "BMP", "PPM", "JPEG2000", "TGA", "AVIF", "HEIF")
"""What is read, HEIF with the extra `heif` only.

Pillow knows more; EPS among them, for which it runs Ghostscript on what the file says.
"""
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
_TIFF = (b"II*\0", b"MM\0*")
_SRGB_GAMMA, _SAME_GAMMA = 1 / 2.2, 0.03
"""The exponent that PNG files of sRGB have, and how far one may be from it to count as the same."""
_SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


def read_picture(path: str | Path, max_side: int | None = None, *, data: bytes | None = None) -> NDArray[np.uint8]:
    """A picture of one of the usual formats, as it is meant to be seen: uint8 RGB (H, W, 3).

    Turned as its EXIF says, converted to sRGB from its ICC profile or its PNG gamma, transparency over white, 16 bits
    scaled to 8, the first frame of an animation. `max_side` shrinks it, never enlarges it, to that many pixels on the
    longer side. `data` are the file's bytes where the caller has read them; None reads the file. Raises PictureError.
    """
    path = Path(path)
    if path.is_dir():
        raise PictureError(f"{path} is a directory", "give a picture file")
    if not path.is_file():  # a pipe or a device would be waited for
        raise PictureError(f"there is no picture {path}", "check the path")
    _register_heif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MAX_PIXELS decides
            Image.init()
            source = path if data is None else io.BytesIO(data)
            with Image.open(source, formats=[name for name in _FORMATS if name in Image.OPEN]) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise _too_large(path)
                if max_side is not None and picture.format == "JPEG":
                    picture.draft(None, (max_side, max_side))  # decodes at 1/2, 1/4 or 1/8 where that suffices
                deep = _deep_jpeg2000(path, data) if picture.format == "JPEG2000" else None
                if deep is None:
                    picture.load()
                rgb = np.asarray(_to_srgb(picture, deep))
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(path) from error
    except UnidentifiedImageError as error:
        levels = _float_tiff(path, data)
        if levels is None:
            raise _unidentified(path, data) from error
        rgb = levels
    except Exception as error:
        # Pillow's decoders raise what Python does, each something else: SyntaxError, RuntimeError, ...
        raise PictureError(f"{path} cannot be decoded ({first_line(error)})", "save or copy it again") from error
    if max_side is None or max(rgb.shape[:2]) <= max_side:
        return np.ascontiguousarray(rgb)
    factor = max_side / max(rgb.shape[:2])
    height, width = (max(1, round(side * factor)) for side in rgb.shape[:2])
    return resize(rgb, (height, width))


def write_picture(path: str | Path, image: NDArray[Any], quality: int = 95) -> None:
    """Write PNG (uint8 or uint16) or JPEG (uint8) by suffix; RGB (H, W, 3) or grey (H, W).

    The file appears whole, under its name, or not at all. Raises OutputError.
    """
    path = Path(path)
    kind = _SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise OutputError(f"{path}: pictures are written as .png or .jpg", "change the suffix")
    if image.dtype not in (np.uint8, np.uint16) or (image.dtype == np.uint16 and kind == "JPEG"):
        raise OutputError(f"{path}: {image.dtype} cannot be written as {kind}", "write a PNG")
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written: there is no directory {path.parent}", "make it first")
    encoded = _encode(image, kind, quality)
    try:
        write_atomically(path, encoded)
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror})", "check the directory and the disk") from error


def resize(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """A picture (H, W, 3) uint8 or float32 at `size`, (height, width): area mean where it shrinks, else Lanczos."""
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LANCZOS4)


def cover(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """A picture (H, W, 3) resized with its aspect until it covers `size`, (height, width), and cut to its middle."""
    height, width = size
    scale = max(height / image.shape[0], width / image.shape[1])
    scaled = resize(image, (max(height, round(image.shape[0] * scale)), max(width, round(image.shape[1] * scale))))
    top, left = (scaled.shape[0] - height) // 2, (scaled.shape[1] - width) // 2
    return scaled[top : top + height, left : left + width]


def to_16_bits(image: NDArray[np.float32]) -> NDArray[np.uint16]:
    """A picture of any shape, float32 in 0..255, as uint16, clipped and rounded: 255 becomes 65535, as PNG has it."""
    return (image.clip(0, 255) * np.float32(257)).round().astype(np.uint16)


def _register_heif() -> None:
    """Lets Pillow read HEIC where the extra `heif` is installed."""
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()


def _unidentified(path: Path, data: bytes | None) -> PictureError:
    """What to say of a file that Pillow does not take for a picture."""
    head = _bytes(path, data)[:12]
    if not head:
        return PictureError(f"{path} is empty", "give a PNG, JPEG, WebP or TIFF file")
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return PictureError(f"{path} is a HEIC picture", "pip install 'farm[heif]', or save it as a JPEG")
    if head[:4] in _TIFF:
        return PictureError(f"{path} is a TIFF of a kind that is not read", "save it with 8 or 16 bits a channel")
    return PictureError(f"{path} is not a picture", "give a PNG, JPEG, WebP or TIFF file")


def _bytes(path: Path, data: bytes | None) -> bytes:
    return path.read_bytes() if data is None else data


def _float_tiff(path: Path, data: bytes | None) -> NDArray[np.uint8] | None:
    """A TIFF of three channels of floating point, which Pillow does not read: uint8 RGB (H, W, 3). None for others."""
    read = _bytes(path, data)
    if read[:4] not in _TIFF:
        return None
    with contextlib.suppress(cv2.error):
        size = _tiff_size(read)
        if size is not None and size[0] * size[1] > MAX_PIXELS:
            raise _too_large(path)
        levels = cv2.imdecode(np.frombuffer(read, np.uint8), cv2.IMREAD_UNCHANGED)
        if levels is not None and levels.dtype in (np.float32, np.float64) and levels.ndim == 3:
            return np.ascontiguousarray(_float_levels(levels[:, :, 2::-1]))
    return None


def _tiff_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) as the first directory of a TIFF says."""
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    at = int.from_bytes(data[4:8], order)
    sides = {}
    for entry in range(at + 2, at + 2 + 12 * int.from_bytes(data[at : at + 2], order), 12):
        tag, kind = (int.from_bytes(data[entry + i : entry + i + 2], order) for i in (0, 2))
        sides[tag] = int.from_bytes(data[entry + 8 : entry + (10 if kind == 3 else 12)], order)
    return (sides[256], sides[257]) if {256, 257} <= sides.keys() else None


def _float_levels(levels: NDArray[Any]) -> NDArray[np.uint8]:
    """Float pictures hold 0..1 by custom, some 0..255."""
    levels = np.nan_to_num(levels)
    levels = levels * 255 if levels.max() <= 1 else levels
    return np.asarray(levels.clip(0, 255).round().astype(np.uint8))


def _deep_jpeg2000(path: Path, data: bytes | None) -> Image.Image | None:
    """A JPEG 2000 of more than 8 bits in colour, as 8 bits; None for others.

    Pillow 13 rounds such samples up to 256, which becomes 0: white is read as black, and opaque as transparent.
    """
    read = _bytes(path, data)
    marker = read.find(b"\xff\x4f\xff\x51") + 2  # the codestream begins with its size marker (ISO/IEC 15444-1, A.5.1)
    if marker < 2 or len(read) < marker + 41:
        return None
    bits = (read[marker + 40] & 0x7F) + 1
    if bits <= 8:
        return None
    levels = cv2.imdecode(np.frombuffer(read, np.uint8), cv2.IMREAD_UNCHANGED)
    if levels is None or levels.dtype != np.uint16 or levels.ndim != 3:
        return None
    levels = (levels.astype(np.float32) * (255 / ((1 << bits) - 1))).round().astype(np.uint8)
    order = [2, 1, 0, 3][: levels.shape[2]]
    return Image.fromarray(np.ascontiguousarray(levels[:, :, order]))


def _to_srgb(picture: Image.Image, deep: Image.Image | None = None) -> Image.Image:
    """The picture as sRGB, upright and without transparency. `deep` are its pixels where Pillow misreads them."""
    profile, gamma = picture.info.get("icc_profile"), _gamma(picture)
    if deep is not None:
        picture = deep
    # A damaged EXIF is ignored, as viewers do. What it raises depends on where it is damaged.
    with contextlib.suppress(Exception):
        picture = ImageOps.exif_transpose(picture)
    if picture.mode in ("I", "I;16", "I;16B", "I;16L", "I;16N"):
        # Pillow clips these to 255 when it converts them.
        picture = Image.fromarray((np.asarray(picture).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    elif picture.mode == "F":
        picture = Image.fromarray(_float_levels(np.asarray(picture)))
    if picture.mode == "P":
        picture = picture.convert("RGBA" if "transparency" in picture.info else "RGB")
    elif "transparency" in picture.info or picture.mode in ("LA", "La", "PA", "RGBa"):
        picture = picture.convert("RGBA")
    alpha = picture.getchannel("A") if picture.mode == "RGBA" else None
    rgb = _convert_profile(picture.convert("RGB") if alpha else picture, profile).convert("RGB")
    if gamma is not None and not profile:
        rgb = rgb.point([round(255 * _srgb_code((level / 255) ** (1 / gamma))) for level in range(256)] * 3)
    if alpha is None:
        return rgb
    return Image.composite(rgb, Image.new("RGB", rgb.size, "white"), alpha)


def _gamma(picture: Image.Image) -> float | None:
    """The exponent of a PNG's gAMA chunk where it is not about that of sRGB, and no chunk says that it is sRGB."""
    gamma = picture.info.get("gamma")
    if picture.format != "PNG" or "srgb" in picture.info or not gamma or not 0.1 <= gamma <= 10:
        return None
    return float(gamma) if abs(gamma - _SRGB_GAMMA) > _SAME_GAMMA else None


def _srgb_code(light: float) -> float:
    """Light 0..1 as a value of sRGB (IEC 61966-2-1)."""
    return 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055


def _convert_profile(picture: Image.Image, profile: bytes | None) -> Image.Image:
    if not profile:
        return picture
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except Exception:
        # A damaged profile, or one for another kind of picture: every viewer ignores it then, and so do we.
        return picture
    return converted or picture


def _too_large(path: Path) -> PictureError:
    return PictureError(f"{path} has more than {MAX_PIXELS // 1_000_000} million pixels", "make it smaller first")


def _encode(image: NDArray[Any], kind: str, quality: int) -> bytes:
    if image.dtype == np.uint16:
        # Pillow has no 16-bit RGB.
        bgr = image[..., ::-1] if image.ndim == 3 else image
        return bytes(cv2.imencode(".png", np.ascontiguousarray(bgr))[1])
    buffer = io.BytesIO()
    options: dict[str, Any] = {"quality": quality, "subsampling": 0} if kind == "JPEG" else {"compress_level": 4}
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()
