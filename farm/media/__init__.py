"""Video in and out: the only package that knows PyAV and ffmpeg.

`scan_video` reads a file once and tells what it holds and where its shots begin; `FrameReader` gives
exactly the frames asked for as RGB; `encode_film` makes the finished film with the source's clock and sound.
"""
