"""A camera or a film painted in real time: `farm live`. What cannot be painted in time is dropped, never queued.

pacing    which frame is shown, dropped or waited for, and whether there is time for flow: pure
mjpeg     a picture as one part of a multipart answer: pure
sources   frames with the moment at which they are due: of a film, or the newest of a camera
steady    the picture before, carried along by flow, holds the new one
show      source -> network -> sink, until the end
page      sink: an MJPEG page on loopback      window   sink: a window      (a file: farm.media.stream)
run       the command            ticker    its line on a terminal
"""
