"""Whose colours a picture has.

matching   statistics of colour, and the transform that matches them (Gatys et al. 2016)
treatment  what happens to the painting, the content and the result
"""
