"""The words that a spec may choose from. The code that acts on a choice has them from here too."""

from __future__ import annotations

from typing import Literal

Method = Literal["optimize", "instant", "keys", "steady", "identity"]
"""How frames are painted: by an optimiser, by a trained network, as painted keyframes are, as a film that is painted
already shows them, made steady, or not at all (to test the rest).
"""
NetworkKind = Literal["small", "johnson"]
"""Architecture of a network that is trained."""
Repaint = Literal["changed", "everywhere"]
"""Where the steps of a frame with a painted neighbour are taken: see farm.render.change."""
FlowMethod = Literal["dis", "deepflow", "epicflow", "farneback", "raft"]
"""Estimator of optical flow: see farm.flow.estimators."""
HdrPolicy = Literal["tonemap", "keep", "refuse"]
"""What happens to HLG and PQ films."""
InterlacedPolicy = Literal["deinterlace", "keep", "refuse"]
"""What happens to interlaced films."""
Steadiness = Literal["auto", "always", "never"]
"""When `farm live` holds a picture by the one before: where there is time for flow, always, or never."""
ColorMode = Literal["none", "match", "match-cholesky", "luminance"]
"""Whose colours a painted picture has: see farm.paint.color.treatment."""
Precision = Literal["auto", "bf16", "fp32"]
"""Arithmetic of the networks. auto is bf16 where the device computes it fast."""
Device = Literal["auto", "cpu", "gpu"]
"""What a film is painted on. auto is a GPU where the machine or the cluster has one, or could start one."""
Optimizer = Literal["lbfgs", "adam"]
"""Optimiser of a frame's pixels."""
Pooling = Literal["max", "avg"]
"""Pooling layers of the VGG: its own maxima, or averages as Gatys et al. 2015 prefer."""
InitName = Literal["content", "style", "noise"]
"""What a frame without an earlier one starts from. A spec may name a picture instead."""
Normalization = Literal["auto", "caffe", "torchvision"]
"""Pixels that a VGG was trained on: RGB, 0..1, divided by the deviation (torchvision), or BGR, 0..255 (caffe)."""

Keep = Literal["all", "frames", "film"]
"""What stays in a job directory once the film is there: all, the frames of the last pass, or no frames."""
