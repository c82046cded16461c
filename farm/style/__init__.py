"""Painting one frame in the style of another picture: no video, no cluster.

device, weights -> vgg -> losses, taps -> targets -> minimize -> optimize -> pyramid;
picture and color: still pictures in and out, and what happens to their colours.
"""
