"""One frame painted by optimisation.

minimize  L-BFGS and Adam, a step at a time
frame     one frame of one size, redone from a safer start where it goes wrong
pyramid   coarse to fine
memory    what fits into memory, whole or in tiles
start     what a frame starts from that has nothing to go by
"""
