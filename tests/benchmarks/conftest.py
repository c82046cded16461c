"""The pairs of pictures of the flow's tests."""

from tests.flow.conftest import textured_pair

__all__ = ["textured_pair"]
