"""A render farm that repaints long videos in the style of a painting.

A *spec* is probed and cut into a *plan* of shots and chunks; a *schedule* hands chunks to *renderers*;
each renderer walks its frames (decode, flow, stylise, commit) into the *job directory*; a *stitcher*
makes the film. Imports point one way, and `tests/test_imports.py` keeps it so:

    errors <- video, spec, plan, flow, style <- schedule, job, media <- render <- cluster <- cli
"""

__version__ = "0.1.0"
