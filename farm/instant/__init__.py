"""Painting by a network in one go (Johnson et al. 2016), and its training.

network -> networkfile -> painter            a trained network, and frames through it
pictures, trainset -> training -> course     what it learns from, a step, the whole training with its checkpoints
sheets                                       learning curve and sample sheets
"""
