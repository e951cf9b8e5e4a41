"""The gates of one root's devices: which are hung, replaced and taken off, here and elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from xdpctl.apply.away_gates import AwayGates
from xdpctl.apply.backstops import Backstops, Device
from xdpctl.apply.undo import Undo
from xdpctl.bpf import program
from xdpctl.bpf.program import Program
from xdpctl.datapath import load
from xdpctl.datapath.blueprint import Pipeline
from xdpctl.datapath.description import Description
from xdpctl.datapath.layout import GATE, INDEX
from xdpctl.datapath.load import Loaded
from xdpctl.datapath.loaded import LivePipeline
from xdpctl.datapath.pipeline_maps import PipelineMaps
from xdpctl.errors import XdpctlError
from xdpctl.host import clsact
from xdpctl.host.state import AWAY, Host
from xdpctl.plan.pipeline_operations import SyncPipeline


def _by_hook(before: LivePipeline | None) -> dict[int, set[Device]]:
    """The devices here that have a gate, by where it hangs: at those that frames are redirected
    into, what goes to the device goes out by it.
    """
    found: dict[int, set[Device]] = {clsact.INGRESS: set(), clsact.EGRESS: set()}
    if before is not None:
        aside = before.switch.uplinks if before.switch is not None else {}
        for name, index in before.backstops.items():
            if not index & AWAY:
                found[clsact.EGRESS if index in aside else clsact.INGRESS].add((name, index))
    return found


class RootGates:
    """One pipeline's gates, with its maps open."""

    def __init__(
        self,
        operation: SyncPipeline,
        opened: PipelineMaps,
        described: Description,
        host: Host,
        undo: Undo,
        kept: ExitStack,
    ) -> None:
        self._operation = operation
        self._opened = opened
        self._described = described
        self._host = host
        self._undo = undo
        self._kept = kept
        self.away = AwayGates(opened, described, host, undo, kept)
        """Those of devices in other namespaces."""

    def load(self, loaded: Callable[[Loaded], Program]) -> None:
        """The gate itself: one for all of them here."""
        gate = loaded(load.load_gate(self._opened, self._described))
        self._opened.programs.update(INDEX.pack(GATE), INDEX.pack(gate.fd))

    def renew(self, before: LivePipeline, loaded: Callable[[Loaded], Program]) -> None:
        """Another gate at the devices that have one and keep it: who takes one over may have been
        there already.
        """
        key, old = INDEX.pack(GATE), self.member(GATE)
        self.load(loaded)
        self._undo.add(lambda: self._opened.programs.update(key, INDEX.pack(old.fd)))
        for hook, devices in _by_hook(before).items():
            here = (each for each in devices if each[1] in self._host.by_index)
            handed = self._handed(hook)
            self._at(hook).renew(sorted(each for each in here if each[0] not in handed), old)
        self.away.renew(before)

    def sync(self, after: Pipeline, before: LivePipeline | None) -> None:
        """A gate at every device with a policy, and at no other of this root's."""
        present = self._host.by_name
        for hook, attached in _by_hook(before).items():
            gates = self._at(hook)
            aside, handed = hook == clsact.EGRESS, self._handed(hook)
            gated = [s.device for s in after.seats if after.is_gated(s) and s.delivered is aside]
            own = [(name, present[name].ifindex) for name in gated if present[name].away is None]
            kept = {number for _, number in own}
            gates.attach([each for each in own if each not in attached])
            gates.detach(sorted(e for e in attached if e[1] not in kept and e[0] not in handed))
        hung = before.backstops.items() if before is not None else ()
        elsewhere = {each for each in hung if each[1] & AWAY}
        gated = [seat.device for seat in after.seats if after.is_gated(seat)]
        policed = [(name, present[name].ifindex) for name in gated if present[name].away]
        kept = {number for _, number in policed}
        self.away.attach([each for each in policed if each not in elsewhere])
        self.away.detach(sorted(each for each in elsewhere if each[1] not in kept))

    def remove(self, before: LivePipeline) -> None:
        """None at all, but for what other pipelines of the plan take over."""
        self.away.detach(sorted(each for each in before.backstops.items() if each[1] & AWAY))
        for hook, devices in _by_hook(before).items():
            own = sorted(each for each in devices if each[0] not in self._handed(hook))
            if own:  # without any, the gate may be lost as well
                self._at(hook).detach(own)

    def member(self, index: int) -> Program:
        """A program of the array, found again by the id that the kernel gives for it."""
        value = self._opened.programs.lookup(INDEX.pack(index))
        if value is None:
            raise XdpctlError(f"the backstop of {self._operation.root} has lost its programs")
        return self._kept.enter_context(program.open_id(INDEX.unpack(value)[0]))

    def _at(self, hook: int) -> Backstops:
        return Backstops(self.member(GATE), self._undo, hook)

    def _handed(self, hook: int) -> frozenset[str]:
        """The devices where another pipeline of ours puts a filter over this one's."""
        handed = self._operation.handed
        return handed.egress if hook == clsact.EGRESS else handed.ingress
