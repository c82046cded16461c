"""What is asked for: frozen models of what the user wrote, checked, and without the machine that does the work.

base           what every model has in common
choices        the words that a spec may choose from
units          amounts of memory and lengths of time, as people write them
frames         ranges of frames
paint          PaintSpec: how a picture is painted; StillSpec: one picture
render         RenderSpec: a film
train          TrainSpec: a network
timeline       Timeline: style over time, as it is written
looks          what a film looks like at each frame, evaluated from a timeline
load           from a YAML file or options to a model, and the differences between two
named_files    the files that a spec names
"""

from farm.spec.base import Model
from farm.spec.frames import FrameRange
from farm.spec.load import build_spec
from farm.spec.paint import PaintSpec, StillSpec
from farm.spec.render import RenderSpec
from farm.spec.train import TrainSpec

__all__ = ["FrameRange", "Model", "PaintSpec", "RenderSpec", "StillSpec", "TrainSpec", "build_spec"]
