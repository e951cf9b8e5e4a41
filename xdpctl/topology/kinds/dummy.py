"""dummy: swallows what is sent to it (drivers/net/dummy.c). It has no attributes of its own."""

from xdpctl.topology.kinds.common import QUEUES
from xdpctl.topology.property import Kind

DUMMY = Kind("dummy", QUEUES, movable=True, doc="a device that swallows what is sent to it")
