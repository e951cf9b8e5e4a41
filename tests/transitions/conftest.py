"""The fixtures of the kernel tests are used here as well."""

from tests.kernel.conftest import netns, netnses

__all__ = ["netns", "netnses"]
