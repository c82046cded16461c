"""The words that a spec may choose from, one spelling for those who ask and those who do."""

from __future__ import annotations

from typing import Literal

Method = Literal["optimize", "instant", "identity"]
NetworkKind = Literal["small", "johnson"]
FlowMethod = Literal["dis", "deepflow", "epicflow", "farneback", "raft"]
HdrPolicy = Literal["tonemap", "keep", "refuse"]
InterlacedPolicy = Literal["deinterlace", "keep", "refuse"]
Steadiness = Literal["auto", "always", "never"]
ColorMode = Literal["none", "match", "match-cholesky", "luminance"]
Precision = Literal["auto", "bf16", "fp32"]
Optimizer = Literal["lbfgs", "adam"]
Pooling = Literal["max", "avg"]
InitName = Literal["content", "style", "noise"]
"""How a frame with nothing to go by starts; in its place a spec may name a picture."""
Normalization = Literal["auto", "caffe", "torchvision"]
"""What a VGG was trained on: RGB, 0..1, divided by the deviation (torchvision), or BGR, 0..255 (caffe)."""
