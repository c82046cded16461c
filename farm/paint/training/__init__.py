"""How a network learns to paint (Johnson et al. 2016).

pictures  what it learns from: photographs, frames of a film, and crops of them
muon      Muon, an optimiser for kernels
descent   how the network's weights follow the gradient
step      one step of training, and the losses of held-out pictures
team      the processes that train one network together; farm.cluster.train starts them
sheets    the learning curve and sample sheets, as pictures
course    a whole training, with checkpoints
run       `farm train` on this machine
"""
