"""Mask pictures and mask videos as the user gives them: white in the region, black outside, grey on a soft edge."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from farm.errors import PictureError, UsageError, VideoError
from farm.media.pictures import read_picture
from farm.media.probe import probe_video
from farm.plan import RenderPlan
from farm.spec.paint import Region

DARKEST_WHITE = 8
"""Grey level (of 255) that a mask's brightest pixel has to exceed. A darker mask is taken for a mistake."""


def read_mask_picture(
    path: str | Path, size: tuple[int, int] | None = None, *, data: bytes | None = None
) -> np.ndarray:
    """The mask (H, W) uint8, 255 in the region; resized to `size` (width, height). Transparent is outside.

    `data` are the file's bytes where the caller has read them; None reads the file.
    Raises PictureError, also for a mask that is black all over.
    """
    grey = read_picture(path, data=data).mean(axis=2)
    # What Pillow does not read, or has a damaged EXIF, was read by other means, and counts as opaque.
    with contextlib.suppress(Exception), Image.open(path if data is None else io.BytesIO(data)) as picture:
        if "A" in picture.getbands():
            upright = ImageOps.exif_transpose(picture)  # as read_picture turns the rest of it
            grey = grey * (np.asarray(upright.getchannel("A"), np.float32) / 255)
    if grey.max() <= DARKEST_WHITE:
        raise PictureError(f"mask {path} is black all over", "paint the region white")
    return resize_mask(grey.astype(np.float32), size or (grey.shape[1], grey.shape[0]))


def resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mask (H, W), 0..255, as uint8 of `size` (width, height): area mean where it shrinks, linear where it grows."""
    shrinks = size[0] <= mask.shape[1] and size[1] <= mask.shape[0]
    resized = cv2.resize(mask, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return resized.round().clip(0, 255).astype(np.uint8)


def check_regions(regions: Sequence[Region], plan: RenderPlan, film_frames: int) -> None:
    """Check that each mask fits a film of `film_frames` frames. Probes every mask video.

    Raises UsageError for a mask of a frame that is not rendered, VideoError for a mask video of another length.
    """
    for region in regions:
        if region.frame is not None and region.frame not in plan.frames:
            raise UsageError(
                f"mask {region.mask} is for frame {region.frame}, and frames {plan.frames} are rendered",
                "give a frame among them after @",
            )
        if not region.is_picture:
            mask_offset(region, plan, film_frames, probe_video(region.mask).frame_count)


def mask_offset(region: Region, plan: RenderPlan, film_frames: int, mask_frames: int) -> int:
    """The film's frame that the first frame of a mask video belongs to.

    A mask video has as many frames as the film, or as are rendered. Raises VideoError where it has neither.
    """
    if mask_frames == film_frames:
        return 0
    if mask_frames == len(plan.frames):
        return plan.start
    raise VideoError(
        f"mask {region.mask} has {mask_frames} frames, the film {film_frames}",
        f"it needs as many as the film, or the {len(plan.frames)} that are rendered",
    )
