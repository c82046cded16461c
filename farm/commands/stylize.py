"""`farm stylize`: one picture file in, one out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from farm.errors import OutputError
from farm.files.atomic import check_can_write
from farm.plan.render_plan import output_size
from farm.spec import StillSpec

SUFFIXES = (".png", ".jpg", ".jpeg")
WINDOW = 50
"""Steps over which convergence is judged (Ruder et al. 2016, section 7): a still is not in a hurry."""


def stylize_file(
    spec: StillSpec,
    *,
    threads: int | None = None,
    overwrite: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Repaint `spec.image` as `spec.output`; `progress` is called with the number of optimiser steps done.

    Raises PictureError, WeightsError, UsageError, OutputError.
    """
    target = Path(spec.output)
    if target.suffix.lower() not in SUFFIXES:
        raise OutputError(f"output {target} is not a picture's name", f"end it in {', '.join(SUFFIXES)}")
    if spec.bit_depth == 16 and target.suffix.lower() != ".png":
        raise OutputError(f"output {target} cannot hold 16 bits", "end it in .png")
    check_can_write(target, overwrite=overwrite)

    from farm.media.pictures import read_picture, resize, to_16_bits, write_picture
    from farm.paint.losses.guided import layer_weights
    from farm.paint.styler import FrameStyler, local_runtime
    from farm.render.regions.files import read_mask_picture

    content = read_picture(spec.image)
    size = output_size(content.shape[1], content.shape[0], spec.size, upscale=spec.upscale)
    content = resize(content, (size[1], size[0]))
    regions = layer_weights([read_mask_picture(region.mask, size) for region in spec.regions])
    runtime = local_runtime(spec.precision, threads)
    runtime = runtime.model_copy(update={"max_memory": spec.max_memory or runtime.max_memory})
    styler = FrameStyler(spec, size, runtime, sample=lambda _: [content], window=WINDOW)
    painted = styler.of_shot(0).first(
        content,
        spec.iterations,
        regions,
        progress=lambda step: progress(step.step),
        keep_exact=spec.bit_depth == 16,
    )
    write_picture(target, painted.image if painted.exact is None else to_16_bits(painted.exact))
    return {
        "output": str(target),
        "size": list(size),
        "steps": painted.steps,
        "stop": painted.stop,
        "restarts": painted.restarts,
        "losses": painted.losses,
        "notes": list(painted.notes),
    }
