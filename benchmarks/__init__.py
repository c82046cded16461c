"""What measures the farm. Each module is run as `python -m benchmarks.NAME` from the top of the repository.

quality        steadiness, seams and drift, beside the usual ways of rendering
peers          time to the loss of `pastiche`, and a clip beside it frame by frame
stills         loss of a still by step and second, beside `pastiche`
scaling        workers on this machine, on Ray, and under a virtual clock (virtual)
flow_error     end-point error of every flow estimator
instant        frames a second of a network, and its losses beside the optimiser's
instant_start  a network's picture as the start of the optimiser
longfilm       memory, pace and storage of 20,000 frames
page           size and opening time of the report of 5,000 frames
media          films of every odd kind (media_kinds) through an identity render
chaos          faults of every kind, broken, mended and compared
identity       checksums of small renders, to compare two versions of the code
"""
