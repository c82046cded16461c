"""`farm stylize`: one picture file in, one out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farm.errors import OutputError, UsageError
from farm.plan import output_size
from farm.spec import StyleImage

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
    max_memory: int | None = None
    """Bytes; None: what the machine has free."""
    bit_depth: int = 8


def stylize_file(
    image: str, styles: Sequence[str], output: str, options: StillOptions, *, overwrite: bool = False
) -> dict[str, Any]:
    """Repaint the picture `image` and write `output`. Raises PictureError, UsageError, OutputError."""
    target = Path(output)
    if not styles:
        raise UsageError("no style is given", "add --style PICTURE")
    if target.suffix.lower() not in SUFFIXES:
        raise OutputError(f"output {output} is not a picture's name", f"end it in {', '.join(SUFFIXES)}")
    if options.bit_depth not in (8, 16):
        raise UsageError(f"a bit depth of {options.bit_depth} is not possible", "use 8 or 16")
    if options.bit_depth == 16 and target.suffix.lower() != ".png":
        raise OutputError(f"output {output} cannot hold 16 bits", "end it in .png")
    if target.exists() and not overwrite:
        raise OutputError(f"output {output} is there already", "add --overwrite to replace it")
    if not target.absolute().parent.is_dir():
        raise OutputError(f"folder {target.absolute().parent} does not exist", "make it first")

    from rich.console import Console
    from rich.progress import Progress

    from farm.style.device import available_memory, choose_device, choose_precision, configure_threads
    from farm.style.optimize import OptimizeSettings
    from farm.style.picture import read_picture, resize, to_16_bits, write_picture
    from farm.style.pyramid import stylize_coarse_to_fine
    from farm.style.targets import Style
    from farm.style.vgg import VGGFeatures
    from farm.style.weights import load_weights

    content = read_picture(image)
    parsed = [StyleImage.model_validate(style) for style in styles]
    paintings = [Style(read_picture(style.path), style.weight) for style in parsed]
    size = output_size(content.shape[1], content.shape[0], options.size)
    content = resize(content, (size[1], size[0]))
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
            max_memory=options.max_memory or available_memory(device),
            keep_exact=options.bit_depth == 16,
        )
    write_picture(target, made.image if made.exact is None else to_16_bits(made.exact))
    return {
        "output": str(target),
        "size": list(size),
        "steps": made.steps,
        "stop": made.stop,
        "restarts": made.restarts,
        "losses": made.losses,
        "notes": list(made.notes),
    }
