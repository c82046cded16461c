"""The network of the instant method's tests."""

from tests.paint.training.conftest import network_file

__all__ = ["network_file"]
