"""Optical flow: its estimation, what of it can be trusted, and pictures moved along it.

CONVENTION. A flow is float32 (H, W, 2): `[..., 0]` is dx (to the right) and `[..., 1]` is dy (downwards), in pixels.
The flow w *from A to B* says where a pixel of A is found in B: A(x) looks like B(x + w(x)). So

    warp(B, flow from A to B)                   is a picture aligned with A
    forward flow                                leads from the previous frame to the current one
    backward flow                               leads from the current frame to the previous one
    warp(previous, backward)                    is the previous frame as the current one would show it
    reliability(backward, forward)              says where, in the current frame, that may be believed
    compose(flow A to B, flow B to C)           leads from A to C

A pixel (row y, column x) is a point sample at (x, y), without a half-pixel shift. A pixel of *unknown* flow is NaN
in both components: files and the codec keep it, `reliability` gives it 0, `warp` leaves it where it is.
Pictures are RGB.

estimators        optical flow methods by name
dis               dense inverse search
epicflow          edge-preserving interpolation of matches
raft              a recurrent network, given its weights
match             flow both ways, and what of it can be trusted
consistency       masks of what can be trusted
warp              pictures moved along a flow
codec             how a flow is stored
store             flows of one video, kept
files             .flo and .pgm of other programs
endpoint_error    how far a flow is from the truth
"""

from farm.flow.codec import decode_flow, decode_match, encode_flow
from farm.flow.consistency import (
    consistent_pixels,
    disoccluded,
    long_term_weights,
    reliability,
    reliability_weights,
    unoccluded_pixels,
)
from farm.flow.endpoint_error import end_point_error
from farm.flow.estimators import FLOW_METHODS, FlowEstimator, create_estimator, create_smooth_search
from farm.flow.files import (
    external_flow_name,
    read_external_flow,
    read_flow,
    read_mask,
    resize_flow,
    write_flow,
    write_mask,
)
from farm.flow.match import Match, Matcher, best_match, create_matcher, match_both_ways
from farm.flow.warp import compose, inside_frame, warp, warp_sharp

__all__ = [
    "FLOW_METHODS",
    "FlowEstimator",
    "Match",
    "Matcher",
    "best_match",
    "compose",
    "consistent_pixels",
    "create_estimator",
    "create_matcher",
    "create_smooth_search",
    "decode_flow",
    "decode_match",
    "disoccluded",
    "encode_flow",
    "end_point_error",
    "external_flow_name",
    "inside_frame",
    "long_term_weights",
    "match_both_ways",
    "read_external_flow",
    "read_flow",
    "read_mask",
    "reliability",
    "reliability_weights",
    "resize_flow",
    "unoccluded_pixels",
    "warp",
    "warp_sharp",
    "write_flow",
    "write_mask",
]
