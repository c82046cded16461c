"""The network of the trainings' tests."""

from tests.paint.training.conftest import network_file

__all__ = ["network_file"]
