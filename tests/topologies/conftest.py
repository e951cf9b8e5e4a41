"""The namespaces of the kernel tests."""

from tests.kernel.conftest import netns, netnses

__all__ = ["netns", "netnses"]
