"""The diff of offloads: features that needs ask for, switched, and switched back in the end."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from xdpctl.datapath.loaded import Live
from xdpctl.datapath.tuned import Tuned
from xdpctl.host.state import Host
from xdpctl.plan.offload_needs import Need
from xdpctl.plan.operation import Action, Difference, Operation
from xdpctl.record import record

BORN: Mapping[str, Mapping[str, bool]] = {
    "veth": {"tx-vlan-hw-insert": True, "tx-vlan-stag-hw-insert": True,
             "tx-checksum-ip-generic": True, "rx-gro": False},
    "tap": {"tx-checksum-ip-generic": True, "rx-gro": True},
}  # fmt: skip
"""What devices are made with, of what may be needed otherwise; what is not here is off."""
DONE = "nothing needs it any more"


@record
class SwitchOffloads(Operation):
    """Switch features of a device, "on" or "off"; the driver must not keep them as they are.

    changes     by the kernel's name; `before` None is for a device that the same plan makes
    remembered  they are to be switched back some day (True), or this is that day (False)
    """

    divisible = True

    device: str
    changes: Mapping[str, Difference]
    remembered: bool
    reason: str

    def actions(self) -> tuple[Action, ...]:
        """One line."""
        return (Action("update", self.device, self.changes, self.reason),)

    def reverse(self) -> tuple[Operation, ...]:
        """Switch them to what they were."""
        back = {name: Difference(one.after, one.before) for name, one in self.changes.items()}
        return (SwitchOffloads(self.device, back, not self.remembered, self.reason),)

    def summary(self) -> str:
        """`turn rx-lro off at eth0`."""
        turned = (f"{name} {one.after or 'back'}" for name, one in self.changes.items())
        return f"turn {' and '.join(turned)} at {self.device}"


@record
class NoteOffloads(Operation):
    """Forget (or, undoing that, note again) what was switched at devices that are gone or that
    somebody else has switched since.
    """

    divisible = True

    switched: Tuned
    remembered: bool = False

    def actions(self) -> tuple[Action, ...]:
        """None: nothing of the host changes."""
        return ()

    def reverse(self) -> tuple[Operation, ...]:
        """Note them again."""
        return (NoteOffloads(self.switched, not self.remembered),)

    def summary(self) -> str:
        """One line."""
        return f"{'note' if self.remembered else 'forget'} {len(self.switched)} switched features"


@record
class OffloadChanges:
    """What to do before the datapath is synced, what after all else, and sentences for the user."""

    first: tuple[Operation, ...] = ()
    last: tuple[Operation, ...] = ()
    notes: tuple[str, ...] = ()


def diff(
    needs: Collection[Need],
    host: Host,
    live: Live,
    *,
    vanishing: Collection[str] = (),
    kinds: Mapping[str, str] | None = None,
) -> OffloadChanges:
    """Switches for the needs that are not met, and back what no need asks for any more.

    `vanishing` are devices that the same plan deletes or re-creates, `kinds` those that the file
    names. What a driver fixes is told in a note: it takes no switch.
    """
    unmet: dict[tuple[str, str], dict[str, Difference]] = {}
    notes: list[str] = []
    elsewhere: dict[tuple[str, bool, str], list[str]] = {}
    for need in needs:
        if need.away:
            if not _is_met_elsewhere(need, host, live):
                alike = elsewhere.setdefault((need.feature, need.wanted, need.why), [])
                alike.append(need.device)
        elif need.device in host.by_name and need.device not in vanishing:
            state = live.offloads.get(need.device)
            if state is None or state.is_on(need.feature) == need.wanted:
                continue
            if state.is_fixed(need.feature):
                notes.append(_fixed(need))
            else:
                change = Difference(word(not need.wanted), word(need.wanted))
                unmet.setdefault((need.device, need.why), {})[need.feature] = change
        elif _born(need, kinds or {}) != need.wanted:
            change = Difference(None, word(need.wanted))
            unmet.setdefault((need.device, need.why), {})[need.feature] = change
    notes += [_elsewhere(*key, devices) for key, devices in elsewhere.items()]
    first = tuple(
        SwitchOffloads(device, changes, remembered=True, reason=why)
        for (device, why), changes in unmet.items()
    )
    asked = {(need.device, need.feature) for need in needs if not need.away}
    last = tuple(_back(asked, host, live, vanishing))
    return OffloadChanges(first, last, tuple(dict.fromkeys(notes)))


def _back(
    asked: Collection[tuple[str, str]], host: Host, live: Live, vanishing: Collection[str]
) -> Iterator[Operation]:
    """What was switched and is no longer needed: back, unless somebody did so already."""
    changes: dict[str, dict[str, Difference]] = {}
    forgotten: dict[tuple[int, str], bool] = {}
    staying = [link for link in host.links if link.name not in vanishing]
    moved = {link.far for link in staying if link.kind == "veth"}
    for (ifindex, feature), was in live.tuned.items():
        if ifindex in moved and ifindex not in host.by_index:
            continue  # an end that somebody has put into another namespace, where it keeps it
        link = host.by_index.get(ifindex)
        state = live.offloads.get(link.name) if link is not None else None
        if link is None or state is None or link.name in vanishing:
            forgotten[ifindex, feature] = was
        elif (link.name, feature) in asked:
            continue
        elif state.is_on(feature) == was or state.is_fixed(feature):
            forgotten[ifindex, feature] = was
        else:
            change = Difference(word(not was), word(was))
            changes.setdefault(link.name, {})[feature] = change
    for device, back in changes.items():
        yield SwitchOffloads(device, back, remembered=False, reason=DONE)
    if forgotten:
        yield NoteOffloads(forgotten)


def _born(need: Need, kinds: Mapping[str, str]) -> bool:
    """Whether a device that is made has the feature on; what the file does not name is the other
    end of a veth.
    """
    return BORN.get(kinds.get(need.device, "veth"), {}).get(need.feature, False)


def _is_met_elsewhere(need: Need, host: Host, live: Live) -> bool:
    """Whether the other end had the feature switched before it went, or this end tells so: a veth
    can take frames from XDP.
    """
    link = host.by_name.get(need.device)
    switched = link is not None and (link.far, need.feature) in live.tuned
    takes = "ndo-xmit" in (live.features.get(need.device) or ())
    return switched or (need.feature == "rx-gro" and takes)


def _elsewhere(feature: str, wanted: bool, why: str, devices: Sequence[str]) -> str:
    """One sentence for all the devices that it is true of: a range has thousands."""
    ends = f"the other end of {devices[0]} is in another network namespace"
    if len(devices) > 1:
        ends = (
            f"the other ends of {devices[0]} and {len(devices) - 1} more are in other network "
            "namespaces"
        )
    return f"{ends}: see to it that {feature} is {word(wanted)} there ({why})"


def _fixed(need: Need) -> str:
    return f"{need.device}: its driver keeps {need.feature} {word(not need.wanted)} ({need.why})"


def word(on: bool) -> str:
    """As ethtool says it."""
    return "on" if on else "off"


def states(changes: Iterable[tuple[str, Difference]]) -> dict[str, bool]:
    """What to switch to, by feature."""
    return {name: one.after == "on" for name, one in changes if one.after is not None}
