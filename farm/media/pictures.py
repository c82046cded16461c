"""Still pictures: whatever a user has, in as uint8 sRGB (H, W, 3); PNG or JPEG out, whole or not at all."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from farm.errors import OutputError, PictureError
from farm.files import write_atomically

MAX_PIXELS = 200_000_000
"""Pixels above which a picture is refused before it is decoded.

Why: it would take 600 MB, and may be a decompression bomb.
"""

_FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "TIFF", "GIF", "BMP", "PPM", "JPEG2000", "TGA", "AVIF")
"""What is read. Pillow knows more; EPS among them, for which it runs Ghostscript on what the file says."""
_SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


def read_picture(path: str | Path, max_side: int | None = None, *, data: bytes | None = None) -> NDArray[np.uint8]:
    """A picture of one of the usual formats, as it is meant to be seen: uint8 RGB (H, W, 3).

    Turned as its EXIF says, converted to sRGB from its ICC profile, transparency over white, 16 bits scaled to 8,
    the first frame of an animation. `max_side` shrinks it, never enlarges it, to that many pixels on the longer side.
    `data` are the file's bytes where the caller has read them; None reads the file. Raises PictureError.
    """
    path = Path(path)
    if path.is_dir():
        raise PictureError(f"{path} is a directory", "give a picture file")
    if not path.is_file():  # a pipe or a device would be waited for
        raise PictureError(f"there is no picture {path}", "check the path")
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
                picture.load()
                rgb = np.asarray(_to_srgb(picture))
    except Image.DecompressionBombError as error:
        raise _too_large(path) from error
    except UnidentifiedImageError as error:
        empty = path.stat().st_size == 0
        raise PictureError(
            f"{path} is {'empty' if empty else 'not a picture'}", "give a PNG, JPEG, WebP or TIFF file"
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        # Pillow raises SyntaxError for a broken PNG and a plain OSError for one that ends too soon.
        raise PictureError(f"{path} cannot be decoded ({error})", "save or copy it again") from error
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


def _to_srgb(picture: Image.Image) -> Image.Image:
    profile = picture.info.get("icc_profile")
    picture = ImageOps.exif_transpose(picture)
    if picture.mode in ("I", "I;16", "I;16B", "I;16L", "I;16N"):
        # Pillow clips these to 255 when it converts them.
        picture = Image.fromarray((np.asarray(picture).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    elif picture.mode == "F":
        # Float TIFFs hold 0..1 by custom, some 0..255.
        levels = np.asarray(picture)
        levels = levels * 255 if levels.max() <= 1 else levels
        picture = Image.fromarray(levels.clip(0, 255).round().astype(np.uint8))
    if picture.mode == "P":
        picture = picture.convert("RGBA" if "transparency" in picture.info else "RGB")
    elif "transparency" in picture.info or picture.mode in ("LA", "La", "PA", "RGBa"):
        picture = picture.convert("RGBA")
    alpha = picture.getchannel("A") if picture.mode == "RGBA" else None
    rgb = _convert_profile(picture.convert("RGB") if alpha else picture, profile).convert("RGB")
    if alpha is None:
        return rgb
    return Image.composite(rgb, Image.new("RGB", rgb.size, "white"), alpha)


def _convert_profile(picture: Image.Image, profile: bytes | None) -> Image.Image:
    if not profile:
        return picture
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
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
