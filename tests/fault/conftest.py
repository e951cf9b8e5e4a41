"""The namespaces of the kernel tests, here too."""

from tests.kernel.conftest import netns, netnses

__all__ = ["netns", "netnses"]
