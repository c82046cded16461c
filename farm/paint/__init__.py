"""Painting one frame in the style of another picture: no video, no cluster.

device, weights -> vgg -> losses, taps -> targets -> objective, minimize -> optimize -> pyramid;
picture, start: still pictures in and out, and what a repaint is started from;
color -> palette: what happens to colours, around any painter.
"""
