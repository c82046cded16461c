"""What is decided: which frames are made from which, by whom and when. Pure: no clock, no file, no torch, no ray.

video          what a probe found in a video
runtime        how the workers of a job compute
render_plan    shots and chunks of a film
chunk_length   how long chunks are where the user does not say
tasks          a chunk in a pass: what a worker is given
reads          the frames that a frame is made from
segments       the pieces that a film is encoded in
estimates      optimiser steps and bytes, before anything is measured
forecast       seconds and money, from frames that were measured
schedule       which worker is given which task
fair_share     workers of one cluster for several jobs
liveness       workers that are stuck or lost
memory_losses  how many workers are left where memory runs out, and when they start
pace           frames a second, and the time left
variants       the grid of a preview
"""

from farm.plan.render_plan import Chunk, RenderPlan, Shot, plan_render
from farm.plan.runtime import JobRuntime, Runtime
from farm.plan.tasks import Task, plan_tasks, task_id
from farm.plan.video import VideoProbe

__all__ = [
    "Chunk",
    "JobRuntime",
    "RenderPlan",
    "Runtime",
    "Shot",
    "Task",
    "VideoProbe",
    "plan_render",
    "plan_tasks",
    "task_id",
]
