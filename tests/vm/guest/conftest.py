"""The namespaces and the NIC of the kernel tests, here too."""

from collections.abc import Iterator

import pytest

from tests.kernel.conftest import Netns, netns, netnses, rig
from tests.vm.guest.stage import Stage, staged

__all__ = ["netns", "netnses", "rig", "stage"]


@pytest.fixture
def stage(netns: Netns) -> Iterator[Stage]:
    """Three NICs with links that are up, in a namespace of their own."""
    with staged(netns) as made:
        yield made
