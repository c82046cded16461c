"""Ray as the farm starts it: closed to the network, and asking for a token."""

import os
import subprocess
import sys

from tests.conftest import open_ports


def test_ray_listens_on_loopback_only(ray_here):
    assert open_ports() - ray_here == set()


def test_token_authentication_is_on(ray_here):
    from ray._private.authentication import authentication_utils

    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert authentication_utils.is_token_auth_enabled()


def test_nothing_that_ray_prints_reaches_stdout_and_no_other_ray_is_joined():
    """A worker that dies makes Ray print paragraphs; a command's stdout is one JSON object and nothing else.

    RAY_ADDRESS, like a cluster that somebody started on this machine, is not for a render without --address.
    """
    script = """
import os, ray, sys, time
from farm.cluster.local import ray_session

with ray_session(cpus=1, dashboard=False):

    @ray.remote
    class Mortal:
        def die(self):
            os.kill(os.getpid(), 9)

    try:
        ray.get(Mortal.remote().die.remote())
    except ray.exceptions.RayActorError:
        time.sleep(2)
print("answer")
"""
    command, elsewhere = [sys.executable, "-c", script], {**os.environ, "RAY_ADDRESS": "127.0.0.1:1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=elsewhere)
    assert done.stdout == "answer\n"
