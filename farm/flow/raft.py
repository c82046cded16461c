"""RAFT: Teed and Deng, "RAFT: Recurrent All-Pairs Field Transforms for Optical Flow" (2020), as torchvision has it.

Nothing is downloaded. The weights are a file, a state dict of torchvision's `raft_large` or `raft_small`
(`.safetensors`, or what `torch.save` writes). Its tensors show which of the two it is.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torchvision.models.optical_flow import raft_large, raft_small

from farm.errors import WeightsError

REFINEMENTS = 12
"""Iterations of the update block, as many as in training."""
# The first convolution of the update block exists in the large network alone.
_ONLY_IN_LARGE = "update_block.motion_encoder.convcorr2.0.weight"
_REMEDY = "give a state dict of torchvision's raft_large or raft_small with --flow-weights FILE, or choose --flow dis"


class RaftFlow:
    """`RaftFlow(weights, device)(a, b)` is the flow from a to b. Raises WeightsError for weights that do not fit."""

    def __init__(self, weights: str | None, device: str) -> None:
        if weights is None:
            raise WeightsError("flow raft needs a file of weights", _REMEDY)
        state = load_raft_weights(Path(weights))
        network = (raft_large if _ONLY_IN_LARGE in state else raft_small)(weights=None, progress=False)
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            raise WeightsError(f"{weights} holds no weights of RAFT", _REMEDY) from error
        self._network = network.to(device).eval()
        self._device = device

    @torch.inference_mode()
    def __call__(self, a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """The flow (H, W, 2) float32, in pixels, from a to b, uint8 RGB (H, W, 3).

        Sides are 128 px or more, and multiples of 8.
        """
        first, second = (self._tensor(picture) for picture in (a, b))
        flow = self._network(first, second, num_flow_updates=REFINEMENTS)[-1]
        return flow[0].permute(1, 2, 0).float().cpu().numpy()

    def _tensor(self, picture: npt.NDArray[np.uint8]) -> torch.Tensor:
        """(1, 3, H, W) in -1..1."""
        tensor = torch.from_numpy(np.ascontiguousarray(picture)).to(self._device)
        return tensor.permute(2, 0, 1)[None].float().div(127.5).sub(1)


def load_raft_weights(path: Path, data: bytes | None = None) -> dict[str, torch.Tensor]:
    """The tensors of a state dict by name, read without running any code in the file. `data` are the file's bytes where
    the caller has read them. Raises WeightsError.
    """
    if data is None and not path.is_file():
        raise WeightsError(f"there is no file {path}", _REMEDY)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load, load_file

            return load_file(path) if data is None else load(data)
        file = path if data is None else io.BytesIO(data)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise whatever the format at hand raises
        raise WeightsError(f"{path} cannot be read as a file of weights", _REMEDY) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"{path} is not a state dict", _REMEDY)
    return state
