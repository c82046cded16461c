"""`farm live`: a camera or a film, painted in real time. A frame that cannot be painted in time is dropped, not queued.

pacing    decides which frame is shown, dropped or waited for, and whether there is time for flow (pure)
mjpeg     writes a picture as one part of a multipart HTTP answer (pure)
sources   yields the frames of a film when they are due, or the newest frame of a camera
steady    holds each painted picture by the one before, which optical flow carries along
show      takes frames from a source through the network to a sink, until the end
page      is the sink that serves an MJPEG page on loopback
window    is the sink that shows a window (the sink that writes a file is farm.media.stream)
run       checks what the command asks for, and runs the show
ticker    prints the line below the show on a terminal
"""
