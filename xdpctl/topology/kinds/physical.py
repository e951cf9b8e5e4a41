"""physical: a NIC, or whatever else exists already. Never created, never deleted."""

from xdpctl.topology.property import Kind

PHYSICAL = Kind("physical", (), doc="a device that exists already")
