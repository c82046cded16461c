"""Painting single frames in the style of other pictures, by an optimiser or by a trained network.

styler     a render's spec applied to frames, shot by shot
device     the machine: device, precision, threads and memory
cores      its CPU cores
tensors    pictures as arrays and as tensors
stopwatch  seconds that a process spends, by what it does
features   VGG and its features
losses     what a picture is judged by
optimizer  one frame painted by optimisation
network    a trained network that paints in one go
training   how such a network is trained
color      whose colours a picture has
"""
