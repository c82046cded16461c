"""The pictures of known motion that the tests of flow have."""

from tests.flow.conftest import textured_pair

__all__ = ["textured_pair"]
