"""Painting by a network in one go (Johnson et al. 2016), and its training.

network -> networkfile -> folded -> painter  a trained network, its fast form, and frames through it
pictures, descent -> training                what it learns from, how its weights move, and a step
training -> course -> train                  a whole training with checkpoints, farm train
onfilm                                       the network of a film and style: found, or trained on the way to the render
team                                         several processes that train one network; farm.cluster.train starts them
sheets                                       learning curve and sample sheets
"""
