"""A picture the farm paints itself, so that a demo has a style without anybody bringing a painting.

    paint_picture(width, height, seed)   an evening landscape in thick brush strokes, uint8 RGB
    paint_to_file(path, ...)             the same, as a PNG

`scene` says what is to be seen (tones, pigments, the direction of every stroke), `brush` how paint is
laid on and lit. Seeded, and made only of operations that IEEE 754 and integer arithmetic define exactly
(no sine, exponential or logarithm anywhere), so a seed gives the same picture on every machine as long
as NumPy keeps its random streams and OpenCV its rasteriser.
"""

from __future__ import annotations

from farm.commands.demo.landscape import paint_picture, paint_to_file

__all__ = ["paint_picture", "paint_to_file"]
