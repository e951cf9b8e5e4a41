"""Our programs at the devices' tc hooks: which device has one, and to which pipeline it leads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from xdpctl.bpf import program
from xdpctl.host import clsact
from xdpctl.host.elsewhere import gate_name
from xdpctl.host.mirror import Mirror
from xdpctl.host.rtnl import Rtnl
from xdpctl.host.state import AWAY, Host


class Gates:
    """The programs of our filters, asked for once a device and hook (clsact.INGRESS, EGRESS)."""

    def __init__(self, host: Host, mirror: Mirror | None = None) -> None:
        self._present = host.by_index
        self._mirror = mirror
        self._found: dict[int, dict[int, int | None]] = {clsact.INGRESS: {}, clsact.EGRESS: {}}

    def at(self, ifindex: int, hook: int = clsact.INGRESS) -> int | None:
        """The id of the program of our filter at the device; None where there is none."""
        return self.all([ifindex], hook).get(ifindex)

    def all(self, devices: Iterable[int], hook: int = clsact.INGRESS) -> dict[int, int]:
        """The same for many devices, by ifindex; those without are left out."""
        found = self._found[hook]
        wanted = [index for index in devices if index in self._present]
        for index in wanted:
            if index & AWAY:  # looked at when the device was found
                away = self._present[index].away
                found[index] = (away.gate or None) if away is not None else None
        unknown = [index for index in wanted if index not in found]
        if unknown:
            found |= dict.fromkeys(unknown) | self._program_ids(unknown, hook)
        return {index: number for index in wanted if (number := found[index]) is not None}

    def _program_ids(self, devices: list[int], hook: int) -> dict[int, int]:
        if self._mirror is not None:
            return self._mirror.program_ids(devices, hook)
        with Rtnl() as rtnl:
            return clsact.program_ids(rtnl, devices, hook)

    def running(
        self, devices: Iterable[int], gate: int, hook: int = clsact.INGRESS
    ) -> dict[str, int]:
        """Those of the devices at which the program `gate` runs, by name."""
        found = self.all(devices, hook).items()
        return {self._present[index].name: index for index, number in found if number == gate}

    def elsewhere(self, devices: Iterable[int], programs_id: int, sort: str) -> dict[str, int]:
        """Those in other namespaces at which the gate for this very device runs, by name: one of
        this sort, that goes on in the program array of this id.
        """
        found: dict[str, int] = {}
        for index, number in self.all(each for each in devices if each & AWAY).items():
            with program.open_id(number) as gate:
                ours = gate.info.name == gate_name(index, sort)
                if ours and programs_id in gate.info.map_ids:
                    found[self._present[index].name] = index
        return found

    def leading_to(
        self, devices: Iterable[int], programs_id: int, hook: int = clsact.INGRESS
    ) -> Iterator[int]:
        """Those whose gate, old or new, goes on in the program array of this id."""
        leads: dict[int, bool] = {}
        for index, number in self.all(devices, hook).items():
            if number not in leads:
                with program.open_id(number) as gate:
                    leads[number] = programs_id in gate.info.map_ids
            if leads[number]:
                yield index
