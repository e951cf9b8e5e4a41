"""From any topology to any other: the kernel takes every step, and every step back."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.plan.build import applied, device, steps, topology
from tests.unit.plan.kernel import Kernel
from xdpctl.topology.model import Device, Topology

NICS = ("eth0", "eth1", "eth2")
ADDRESSES = [f"02:00:00:00:00:{number:02x}" for number in range(5)]
STATES = st.sampled_from(["up", "down", None])


def given_values(**values: Any) -> dict[str, Any]:
    """Those that are not None."""
    return {name: value for name, value in values.items() if value is not None}


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    """Three NICs; a master that takes some of them; macvlans and VLANs on what is left."""
    devices: list[Device] = []
    mtu = {nic: draw(st.sampled_from([1400, 1500, 1600])) for nic in NICS}
    master = draw(st.sampled_from(["bond", "bridge", None]))
    ports = draw(st.lists(st.sampled_from(NICS[1:]), unique=True, min_size=1)) if master else []
    pair = draw(st.booleans())
    for nic in NICS:
        state = None if nic in ports and master == "bond" else draw(STATES)
        named = None if nic in ports else mtu[nic]
        devices.append(device(nic, "physical", **given_values(mtu=named, state=state)))
    if pair:
        ends = draw(st.sampled_from([("v0", "v1"), ("v1", "v0"), ("v0", "v2")]))
        devices.append(device(ends[0], "veth", peer=ends[1], state="up"))
        if draw(st.booleans()):
            devices.append(
                device(ends[1], "veth", peer=ends[0], **given_values(state=draw(STATES)))
            )
    stands = [nic for nic in NICS if nic not in ports]
    if master == "bond":
        tuned = {port: {"queue_id": number} for number, port in enumerate(ports, 1)
                 if draw(st.booleans())}  # fmt: skip
        options = {"mode": draw(st.sampled_from(["active-backup", "802.3ad", "balance-rr"]))}
        options |= given_values(fail_over_mac=draw(st.sampled_from(["none", "active", None])))
        if options["mode"] == "active-backup":
            options |= given_values(primary=draw(st.sampled_from([None, *ports])))
        devices.append(device("m0", "bond", ports=tuple(ports), port_properties=tuned,
                              **options, state="up"))  # fmt: skip
    elif master == "bridge":
        options = given_values(mtu=draw(st.sampled_from([1400, None])), state=draw(STATES))
        devices.append(device("m0", "bridge", ports=tuple(ports), **options))
    if master:
        stands.append("m0")
        mtu["m0"] = 1400
    for parent in stands:
        devices += draw(uppers(parent, mtu[parent], parent == "m0"))
    unique = {one.name: one for one in devices}
    return topology(*unique.values())


@st.composite
def uppers(draw: st.DrawFn, parent: str, mtu: int, small: bool) -> list[Device]:
    """What stands on one device. Names are of a small pool, so that devices move and turn."""
    if draw(st.booleans()) and not small:
        kind = draw(st.sampled_from(["macvlan", "macvtap"]))
        return [device(f"x{parent[-1]}0", kind, parent=parent, mode="passthru", state="up")]
    found: list[Device] = []
    addresses = draw(st.permutations(ADDRESSES))
    for number in range(draw(st.integers(0, 3))):
        name = f"x{parent[-1]}{number}"
        named = draw(st.sampled_from([None, mtu, mtu - 100]))
        if draw(st.integers(0, 3)):
            kind = draw(st.sampled_from(["macvlan", "macvtap"]))
            options = given_values(mtu=named, state=draw(STATES), address=addresses[number],
                                   mode=draw(st.sampled_from(["bridge", "private"])))  # fmt: skip
            found.append(device(name, kind, parent=parent, **options))
        else:
            found.append(device(name, "vlan", parent=parent, id=number, **given_values(mtu=named)))
    return found


def settled(kernel: Kernel) -> Any:
    """All of it, but for ifindexes."""
    name = {link.ifindex: link.name for link in kernel.links.values()}
    return {
        link.name: (link.kind, dict(link.properties), name.get(link.lower or 0),
                    name.get(link.master or 0), link.alias, link.group, dict(link.port))
        for link in kernel.links.values()
    }  # fmt: skip


def fresh() -> Kernel:
    """The NICs alone."""
    kernel = Kernel()
    for nic in NICS:
        kernel.nic(nic)
    return kernel


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(topologies(), topologies())
def test_any_to_any(first: Topology, second: Topology) -> None:
    kernel = fresh()
    applied(kernel, first)
    applied(kernel, second)


@settings(
    max_examples=300,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
@given(topologies(), topologies(), st.data())
def test_undone_after_any_number_of_steps(
    first: Topology, second: Topology, data: st.DataObject
) -> None:
    kernel = fresh()
    applied(kernel, first)
    before = settled(kernel)
    operations = steps(second, kernel.host())
    done = operations[: data.draw(st.integers(0, len(operations)))]
    kernel.perform(done)
    for operation in reversed(done):
        kernel.perform(operation.reverse())
    assert settled(kernel) == before
