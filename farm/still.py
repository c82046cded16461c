"""`farm stylize`: one picture file in, one out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farm.errors import OutputError, UsageError
from farm.plan import output_size
from farm.spec import Region, StyleImage, build_region

SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class StillOptions:
    iterations: int
    size: int | None
    style_scale: float
    style_weight: float
    content_weight: float
    precision: str
    threads: int | None


def stylize_file(
    image: str,
    styles: Sequence[str],
    output: str,
    options: StillOptions,
    *,
    overwrite: bool = False,
    regions: Sequence[str] = (),
) -> dict[str, Any]:
    """Repaint the picture `image` and write `output`; `regions` as `--region` has them.

    Raises PictureError, UsageError, OutputError.
    """
    target = Path(output)
    if not styles:
        raise UsageError("no style is given", "add --style PICTURE")
    if target.suffix.lower() not in SUFFIXES:
        raise OutputError(f"output {output} is not a picture's name", f"end it in {', '.join(SUFFIXES)}")
    if target.exists() and not overwrite:
        raise OutputError(f"output {output} is there already", "add --overwrite to replace it")
    if not target.absolute().parent.is_dir():
        raise OutputError(f"folder {target.absolute().parent} does not exist", "make it first")

    from rich.console import Console
    from rich.progress import Progress

    from farm.regions.files import read_mask_picture
    from farm.style.device import choose_device, choose_precision, configure_threads
    from farm.style.guided import RegionStyles, layer_weights
    from farm.style.optimize import OptimizeSettings
    from farm.style.picture import read_picture, resize, write_picture
    from farm.style.pyramid import stylize_coarse_to_fine
    from farm.style.targets import Style
    from farm.style.vgg import VGGFeatures
    from farm.style.weights import load_weights

    content = read_picture(image)
    parsed = [StyleImage.model_validate(style) for style in styles]
    paintings = [Style(read_picture(style.path), style.weight) for style in parsed]
    areas = _read_regions(regions)
    region_styles = [[Style(read_picture(style.path), style.weight) for style in area.styles] for area in areas]
    size = output_size(content.shape[1], content.shape[0], options.size)
    content = resize(content, (size[1], size[0]))
    weights = layer_weights([read_mask_picture(area.mask, size) for area in areas])
    configure_threads(options.threads)
    device = choose_device()
    features = VGGFeatures(load_weights(), device=device, dtype=choose_precision(options.precision, device))  # type: ignore[arg-type]
    settings = OptimizeSettings(content_weight=options.content_weight, style_weight=options.style_weight)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("paint", total=options.iterations)
        made = stylize_coarse_to_fine(
            features,
            paintings,
            content,
            options.iterations,
            settings,
            options.style_scale,
            progress=lambda step: bar.update(task, completed=step.step),
            regions=[RegionStyles(weight, own) for weight, own in zip(weights, region_styles, strict=True)],
        )
    write_picture(target, made.image)
    return {
        "output": str(target),
        "size": list(size),
        "steps": made.steps,
        "stop": made.stop,
        "restarts": made.restarts,
        "losses": made.losses,
    }


def _read_regions(regions: Sequence[str]) -> list[Region]:
    """Raises UsageError for what cannot be understood, or belongs to a video."""
    found = [build_region(text) for text in regions]
    for region in found:
        if not region.is_picture or region.frame is not None:
            raise UsageError(f"the mask of a still is a picture without a frame, not {region.mask}", "give a PNG")
    return found
