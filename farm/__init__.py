"""A render farm that repaints long videos in the style of a painting.

A *spec* is probed and cut into a *plan* of shots and chunks. A *schedule* hands chunks to *renderers*. Each renderer
walks its frames (decode, flow, stylise, commit) into the *job directory*, and a *stitcher* makes the film.

The house has twelve rooms, and a file belongs where its sentence is:

    files      is bytes at a path or URL, whole or not at all
    spec       is asked for: what the user wrote, checked
    flow       is motion between two frames, and how far it can be trusted
    plan       is decided: shots, chunks, tasks, schedule; pure
    job        is kept: the job directory, the whole state of a render
    media      is seen: films and pictures in and out
    paint      paints one frame in a style: no video, no job
    render     walks a job's frames from the source to the film: no ray
    cluster    hands frames out to machines: the only room with ray
    pages      shows a job in a browser
    commands   are programs beside the render: stylize, bench, demo, live, doctor
    cli        is typed and printed

`errors` and `interruption` lie below all of them. Imports point one way, and `tests/test_imports.py` keeps it so:

    errors, interruption < files < spec < flow, plan < job, media < paint < render < cluster, pages < commands < cli

`files`, `spec`, `plan`, `job` and `flow` hand out the names that other rooms use most, as `from farm.spec import
RenderSpec`. Everything else is imported from its module, and inside a room every module is.
"""

__version__ = "0.1.0"
