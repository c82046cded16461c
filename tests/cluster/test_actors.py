"""What a worker sees of its machine. The classes are plain ones, so no Ray is started."""

from __future__ import annotations

import os

import pytest

pytestmark = pytest.mark.cluster  # the import of ray binds a socket


@pytest.mark.parametrize(("gpu", "visible"), [(False, ""), (True, "0,1")])
def test_a_worker_without_a_gpu_of_its_own_sees_none(monkeypatch, gpu, visible):
    from farm.cluster.actors import RenderWorker

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    RenderWorker(1, "worker-1", gpu=gpu)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == visible


def test_a_worker_without_a_gpu_of_its_own_computes_on_the_cpu_whatever_pytorch_sees(monkeypatch):
    from farm.cluster.actors import RenderWorker
    from farm.paint import device

    monkeypatch.setattr(device.torch.cuda, "is_available", lambda: True)
    assert RenderWorker(1, "worker-1")._runtime("fp32").device == "cpu"
