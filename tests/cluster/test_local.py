"""Ray as the farm starts it: closed to the network, and asking for a token."""

import os

from tests.conftest import open_ports


def test_ray_listens_on_loopback_only(ray_here):
    assert open_ports() - ray_here == set()


def test_token_authentication_is_on(ray_here):
    from ray._private.authentication import authentication_utils

    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert authentication_utils.is_token_auth_enabled()
