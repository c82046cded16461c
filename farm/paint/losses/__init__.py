"""What a picture is judged by.

functional    the losses as functions: the definitions
layer_losses  content and style of a layer, with their gradient in closed form
guided        the style of each region (Gatys et al. 2017)
targets       what the style losses aim at, remembered by size
ties          what a picture is tied to
tiles         losses of a picture that is computed piece by piece
objective     the whole loss of one frame
"""
