"""The network of the instant method's tests."""

from tests.instant.conftest import network_file

__all__ = ["network_file"]
