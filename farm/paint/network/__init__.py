"""A trained network that paints in one go (Johnson et al. 2016).

network       the network
network_file  the file that holds one
folded        its fast form
painter       frames through it
"""
