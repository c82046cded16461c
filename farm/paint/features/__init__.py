"""VGG and its features.

architectures  the networks by name, without PyTorch
weights        the weights of a network, built in or from a file
vgg            a network cut at the layers that are asked for, with its gradient
convolution    convolution and ReLU in one pass
bands          convolutions on cores that are idle otherwise
winograd       wide layers in float32 on a CPU
pooling        maximum or mean
"""
