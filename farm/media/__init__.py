"""What is seen, and shown: films and pictures in and out. The only folder that imports PyAV or runs ffmpeg.

source           opening a film of the user, and refusing what is none
probe            what a film holds, found by decoding all of it
shots            where its shots begin
scan             probe and shots in one pass
decode           exactly the frames that are asked for, as RGB
orientation      how a stored picture is set upright
color            what colour tags mean, and what is assumed without them
tonemap          HDR to standard range
encode           a run of frames as an encoded segment
film             segments and the source's sound, as a film
join             films of one kind, one after the other
verify           whether a finished film is what was meant
tracks           which sound and subtitles go into which container
ffmpeg           the ffmpeg program: where it is, and how it is run
stream           a film read as it comes, and one written as its pictures come
sequence         a video or a folder of pictures as its frames
pictures         still pictures in and out
jpeg             small JPEGs for pages
contact_sheet    frames beside each other
"""
