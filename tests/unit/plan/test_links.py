"""The diff of devices, case by case."""

from __future__ import annotations

import random
import time

import pytest

from tests.unit.plan.build import applied, device, lines, steps, told, topology
from tests.unit.plan.kernel import Kernel
from xdpctl.errors import ConflictError, MissingError
from xdpctl.host.links import birthmark, label
from xdpctl.plan import links
from xdpctl.plan.links import TAKE_OVER
from xdpctl.plan.operation import Action, Difference
from xdpctl.topology.model import Device, Topology

ETH0 = device("eth0", "physical")
MAC = "02:00:00:00:00:01"
OTHER = "02:00:00:00:00:02"


def web(**given: object) -> Device:
    """A macvlan on eth0."""
    values = {"parent": "eth0", "mode": "bridge", "address": MAC, "state": "up"} | given
    return device("web0", "macvlan", **values)


@pytest.fixture
def kernel() -> Kernel:
    kernel = Kernel()
    for name in ("eth0", "eth1", "eth2"):
        kernel.nic(name)
    return kernel


def test_created_down_labelled_and_raised_last(kernel: Kernel) -> None:
    changes = links.diff(topology(ETH0, web()), kernel.host())
    assert told(changes.before) == [
        "create macvlan web0 on eth0",
        "set alias xdpctl:edge and device group 0 of web0",
    ]
    assert told(changes.after) == ["set state up of web0"]
    (line,) = lines((*changes.before, *changes.members, *changes.after))
    assert (line.op, line.device) == ("create", "web0")
    assert line.changes["parent"] == Difference(None, "eth0")


def test_what_the_file_leaves_out_is_left_alone(kernel: Kernel) -> None:
    applied(kernel, topology(ETH0, web(mtu=1400)))
    assert not steps(topology(ETH0, web()), kernel.host())


def test_one_message_for_what_changes_in_place(kernel: Kernel) -> None:
    applied(kernel, topology(ETH0, web()))
    done = applied(kernel, topology(ETH0, web(mode="private", address=OTHER, state="down")))
    assert len(done) == 1
    (line,) = lines(done)
    assert line == Action(
        "update",
        "web0",
        {
            "mode": Difference("bridge", "private"),
            "address": Difference(MAC, OTHER),
            "state": Difference("up", "down"),
        },
    )


def test_replaced_with_what_stands_on_it(kernel: Kernel) -> None:
    bridge = device("br0", "bridge", state="up")

    def stack(number: int) -> Topology:
        vlan = device("vlan7", "vlan", parent="br0", id=number, state="up")
        upper = device("web0", "macvlan", parent="vlan7", mode="bridge", address=MAC, state="up")
        return topology(bridge, vlan, upper)

    applied(kernel, stack(7))
    done = applied(kernel, stack(8))
    assert [(line.op, line.device, line.reason) for line in lines(done)] == [
        ("replace", "web0", "vlan7 is replaced"),
        ("replace", "vlan7", "id"),
    ]
    assert told(done)[:4] == [
        "delete web0",
        "delete vlan7",
        "create vlan vlan7 on br0",
        "create macvlan web0 on vlan7",
    ]


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (device("web0", "macvtap", parent="eth0", address=MAC), "kind is macvlan, not macvtap"),
        (web(mode="passthru"), "mode"),
        (device("web0", "macvlan", parent="eth1", mode="bridge", address=MAC), "parent"),
    ],
)
def test_the_reason_of_a_replacement(kernel: Kernel, after: Device, reason: str) -> None:
    nics = (ETH0, device("eth1", "physical"))
    applied(kernel, topology(*nics, web()))
    (line,) = lines(applied(kernel, topology(*nics, after)))
    assert (line.op, line.reason) == ("replace", reason)


def test_passthru_goes_before_its_siblings_come(kernel: Kernel) -> None:
    applied(kernel, topology(ETH0, device("old", "macvlan", parent="eth0", mode="passthru")))
    assert told(applied(kernel, topology(ETH0, web())))[0] == "delete old"


def test_mtu_is_raised_below_first_and_lowered_above_first(kernel: Kernel) -> None:
    nic = device("eth0", "physical", mtu=1500)
    applied(kernel, topology(nic, web(mtu=1500)))
    done = applied(kernel, topology(device("eth0", "physical", mtu=9000), web(mtu=9000)))
    assert told(done) == ["set mtu 9000 of eth0", "set mtu 9000 of web0"]
    done = applied(kernel, topology(device("eth0", "physical", mtu=1400), web(mtu=1300)))
    assert told(done) == ["set mtu 1300 of web0", "set mtu 1400 of eth0"]


def test_raised_below_first_and_taken_down_above_first(kernel: Kernel) -> None:
    def stack(state: str) -> Topology:
        vlan = device("vlan7", "vlan", parent="br0", id=7, state=state)
        return topology(device("br0", "bridge", state=state), vlan)

    applied(kernel, stack("up"))
    assert told(applied(kernel, stack("down"))) == [
        "set state down of vlan7",
        "set state down of br0",
    ]
    assert told(applied(kernel, stack("up")))[0] == "set state up of br0"


def test_an_mtu_that_the_kernel_lowers_is_told(kernel: Kernel) -> None:
    applied(kernel, topology(ETH0, web()))
    done = applied(kernel, topology(device("eth0", "physical", mtu=1400), web()))
    assert told(done) == ["set mtu 1400 of web0", "set mtu 1400 of eth0"]
    assert [line.reason for line in lines(done)] == ["the mtu of eth0 falls to 1400", ""]


def test_a_parent_grows_before_the_child_is_created(kernel: Kernel) -> None:
    done = applied(kernel, topology(device("eth0", "physical", mtu=9000), web(mtu=9000)))
    assert told(done)[:2] == ["set mtu 9000 of eth0", "create macvlan web0 on eth0"]


def test_an_mtu_above_that_of_a_nic_that_the_file_leaves_alone(kernel: Kernel) -> None:
    said = (
        "f.yaml:1:1: web0 cannot have mtu 9000 on eth0, which has 1500; write mtu: 9000 there, too"
    )
    with pytest.raises(ConflictError) as caught:
        steps(topology(ETH0, web(mtu=9000)), kernel.host())
    assert str(caught.value) == said
    applied(kernel, topology(ETH0, web()))
    with pytest.raises(ConflictError) as caught:
        steps(topology(ETH0, web(mtu=9000)), kernel.host())
    assert str(caught.value) == said


def test_a_vlan_on_a_nic_that_is_down(kernel: Kernel) -> None:
    def vlan(**given: object) -> Topology:
        return topology(ETH0, device("vlan7", "vlan", parent="eth0", id=7, **given))

    with pytest.raises(ConflictError, match="vlan7 cannot be up on eth0, which is down; write"):
        steps(vlan(state="up"), kernel.host())
    for right in (vlan(), vlan(state="down"), vlan(state="up", loose_binding=True)):
        assert steps(right, kernel.host())
    kernel.change(kernel.links["eth0"], "state", "up")
    assert steps(vlan(state="up"), kernel.host())


@pytest.mark.parametrize("turn", [2, 3, 5])
def test_addresses_that_go_round(kernel: Kernel, turn: int) -> None:
    def ring(shift: int) -> Topology:
        return topology(ETH0, *(
            device(f"w{at}", "macvlan", parent="eth0", mode="bridge", state="up",
                   address=f"02:00:00:00:00:{(at + shift) % turn:02x}")
            for at in range(turn)
        ))  # fmt: skip

    applied(kernel, ring(0))
    done = applied(kernel, ring(1))
    assert len(done) == turn + 1, "one device steps aside, none goes down"
    assert not any("state" in summary for summary in told(done))


def test_the_holder_of_an_address_goes_first(kernel: Kernel) -> None:
    applied(kernel, topology(ETH0, web()))
    after = device("web1", "macvlan", parent="eth0", mode="bridge", address=MAC, state="up")
    summaries = told(applied(kernel, topology(ETH0, after)))
    assert summaries.index("delete web0") < summaries.index("set state up of web1")


BOND = {"ports": ("eth1", "eth2"), "mode": "active-backup", "state": "up"}
PORTS = (device("eth1", "physical"), device("eth2", "physical"))


def test_ports_go_down_to_enter_a_bond(kernel: Kernel) -> None:
    kernel.change(kernel.links["eth1"], "state", "up")
    done = applied(kernel, topology(*PORTS, device("bond0", "bond", **BOND)))
    summaries = told(done)
    assert summaries.index("set state down of eth1") < summaries.index("add eth1 to bond0")
    assert "set state down of eth2" not in summaries
    (line,) = lines(done)
    assert line.changes["ports"] == Difference(None, ("eth1", "eth2"))


def test_a_bonds_mode_changes_down_and_without_ports(kernel: Kernel) -> None:
    bond = device("bond0", "bond", **BOND, port_properties={"eth1": {"queue_id": 3}})
    applied(kernel, topology(*PORTS, bond))
    after = BOND | {"mode": "802.3ad"}
    done = applied(kernel, topology(*PORTS, device("bond0", "bond", **after)))
    assert told(done) == [
        "remove eth2 from bond0",
        "remove eth1 from bond0",
        "set state down of bond0",
        "set mode 802.3ad and address aa:00:00:00:00:01 of bond0",
        "add eth1 to bond0",
        "add eth2 to bond0",
        "set queue_id 3 of port eth1",
        "set state up of bond0",
    ]
    assert [(line.op, line.device) for line in lines(done)] == [("update", "bond0")]


def test_vlans_that_are_down_stay_so_while_their_bond_changes(kernel: Kernel) -> None:
    def stack(mode: str) -> Topology:
        bond = device("bond0", "bond", **(BOND | {"mode": mode}))
        vlan = device("vlan7", "vlan", parent="bond0", id=7)
        return topology(*PORTS, bond, vlan)

    applied(kernel, stack("active-backup"))
    kernel.add("vlan8", "vlan", {"id": 8, "state": "down"}, lower=kernel.links["bond0"].ifindex)
    states = {"vlan7": "down", "vlan8": "down"}

    def found() -> dict[str, object]:
        return {name: kernel.links[name].properties["state"] for name in states}

    kernel.change(kernel.links["vlan7"], "state", "down")
    done = applied(kernel, stack("802.3ad"))
    assert found() == states
    kernel.perform([step for one in reversed(done) for step in one.reverse()])
    assert found() == states


def test_a_bonds_option_that_changes_in_place_disturbs_nobody(kernel: Kernel) -> None:
    applied(kernel, topology(*PORTS, device("bond0", "bond", **BOND)))
    done = applied(kernel, topology(*PORTS, device("bond0", "bond", **BOND, miimon=100)))
    assert told(done) == ["set miimon 100 of bond0"]


def test_a_primary_is_named_once_it_is_a_port(kernel: Kernel) -> None:
    done = applied(kernel, topology(*PORTS, device("bond0", "bond", **BOND, primary="eth2")))
    summaries = told(done)
    assert summaries.index("add eth2 to bond0") < summaries.index(
        "set primary eth2 and state up of bond0"
    )


def test_a_port_that_leaves_a_bond_stays_up(kernel: Kernel) -> None:
    applied(kernel, topology(*PORTS, device("bond0", "bond", **BOND)))
    fewer = BOND | {"ports": ("eth1",)}
    done = applied(kernel, topology(*PORTS, device("bond0", "bond", **fewer)))
    assert told(done) == ["remove eth2 from bond0", "set state up of eth2"]
    assert lines(done)[0].changes["ports"] == Difference(("eth1", "eth2"), ("eth1",))


def test_a_port_moves_from_a_bridge_to_a_bond(kernel: Kernel) -> None:
    nic = device("eth1", "physical", state="up")
    applied(kernel, topology(nic, device("br0", "bridge", ports=("eth1",))))
    bond = device("bond0", "bond", ports=("eth1",))
    applied(kernel, topology(nic, device("br0", "bridge"), bond))
    assert kernel.links["eth1"].master == kernel.links["bond0"].ifindex


@pytest.mark.parametrize("kind", ["bridge", "bond"])
def test_a_list_without_ports_is_not_no_list(kind: str, kernel: Kernel) -> None:
    applied(kernel, topology(*PORTS, device("m0", kind, ports=("eth1", "eth2"))))
    assert not steps(topology(*PORTS, device("m0", kind)), kernel.host())
    done = applied(kernel, topology(*PORTS, device("m0", kind, portless=True)))
    assert [summary for summary in told(done) if "remove" in summary] == [
        "remove eth2 from m0",
        "remove eth1 from m0",
    ]
    assert lines(done)[0].changes["ports"] == Difference(("eth1", "eth2"), ())


@pytest.mark.parametrize("kind", ["bridge", "bond"])
def test_a_port_that_carries_a_macvlan_leaves(kind: str, kernel: Kernel) -> None:
    applied(kernel, topology(ETH0, device("m0", kind, ports=("eth0",))))
    done = applied(kernel, topology(ETH0, device("m0", kind), web()))
    assert told(done)[:2] == ["remove eth0 from m0", "create macvlan web0 on eth0"]


def test_whoever_plugged_itself_into_a_bridge_stays(kernel: Kernel) -> None:
    bridge = device("br0", "bridge", ports=("eth1",))
    applied(kernel, topology(PORTS[0], bridge))
    kernel.add("tap7", "tap", {"state": "up", "mtu": 1500}, master=kernel.links["br0"].ifindex)
    changes = links.diff(topology(PORTS[0], bridge), kernel.host())
    assert not changes.before
    assert not changes.after
    assert changes.notes == ("tap7 stays a port of br0, though the file does not say",)


def test_ours_that_left_the_file_goes_and_nobody_elses(kernel: Kernel) -> None:
    applied(kernel, topology(ETH0, web()))
    kernel.add("web9", "macvlan", {"state": "up", "mode": "bridge"},
               lower=kernel.links["eth0"].ifindex)  # fmt: skip
    kernel.add("web8", "macvlan", {"state": "up", "mode": "bridge"}, alias=label("other"),
               lower=kernel.links["eth0"].ifindex)  # fmt: skip
    assert told(applied(kernel, topology(ETH0))) == ["delete web0"]
    assert {"web8", "web9"} <= kernel.links.keys()


def test_removal_takes_labels_and_birthmarks_only(kernel: Kernel) -> None:
    applied(kernel, topology(ETH0, web()))
    kernel.add("born", "macvlan", {"state": "down"}, group=birthmark("edge"))
    kernel.add("theirs", "macvlan", {"state": "down"}, group=birthmark("other"))
    changes = links.removal("edge", kernel.host())
    assert sorted(told((*changes.before, *changes.members, *changes.after))) == [
        "delete born",
        "delete web0",
    ]


def test_what_goes_is_told_uppers_first(kernel: Kernel) -> None:
    bridge = device("br0", "bridge", ports=("eth0",))
    upper = device("web0", "macvlan", parent="br0", address=MAC)
    applied(kernel, topology(ETH0, bridge, upper))
    changes = links.removal("edge", kernel.host())
    assert [one.device for one in lines((*changes.before, *changes.members, *changes.after))] == [
        "web0",
        "br0",
    ]


def test_a_newborn_is_finished(kernel: Kernel) -> None:
    wanted = topology(ETH0, web())
    kernel.perform(steps(wanted, kernel.host())[:1])
    done = applied(kernel, wanted)
    assert told(done)[0] == "set alias xdpctl:edge and device group 0 of web0"
    assert lines(done)[0].reason == "created by a run that was interrupted"


def test_all_conflicts_at_once(kernel: Kernel) -> None:
    eth0 = kernel.links["eth0"].ifindex
    kernel.add("web0", "macvlan", {"state": "up"}, lower=eth0)
    kernel.add("web1", "macvlan", {"state": "up"}, lower=eth0, alias=label("other"))
    kernel.add("web2", "macvlan", {"state": "up", "address": OTHER}, lower=eth0)
    kernel.add("br9", "bridge", {"state": "up"})
    kernel.set("eth1", master=kernel.links["br9"].ifindex)
    on_port = device("x", "macvlan", parent="eth1", address=MAC)
    double = device("y", "macvlan", parent="eth0", address=OTHER)
    web1 = device("web1", "macvlan", parent="eth0")
    wanted = topology(ETH0, *PORTS, web(), web1, on_port, double)
    with pytest.raises(ConflictError) as caught:
        steps(wanted, kernel.host())
    assert str(caught.value).split("\n") == [
        "f.yaml:1:1: web0 exists and is not ours",
        "f.yaml:1:1: web1 belongs to topology other",
        "f.yaml:1:1: x cannot stand on eth1, which is a port of br9",
        f"f.yaml:1:1: y cannot have {OTHER}, which web2 has",
    ]


@pytest.mark.parametrize("kind", ["macvlan", "macvtap"])
def test_a_macvlan_on_a_root_that_is_one_itself(kernel: Kernel, kind: str) -> None:
    eth0 = kernel.links["eth0"].ifindex
    kernel.add("mv0", "macvlan", {"state": "up", "address": OTHER}, lower=eth0)
    kernel.add("mv1", "macvtap", {"state": "up", "address": OTHER}, lower_elsewhere=True)
    stacked = device("x", kind, parent="mv0", address=MAC)
    lost = device("y", kind, parent="mv1", address=MAC)
    beside = device("v", "vlan", parent="mv0", id=5)
    wanted = topology(*(device(f"mv{at}", "physical") for at in (0, 1)), stacked, lost, beside)
    with pytest.raises(ConflictError) as caught:
        steps(wanted, kernel.host())
    assert str(caught.value).split("\n") == [
        f"f.yaml:1:1: x would be a {kind} on the macvlan mv0: the kernel puts it beside that, "
        "on eth0; write parent: eth0",
        f"f.yaml:1:1: y would be a {kind} on the macvtap mv1: the kernel puts it beside that, "
        "on a device of another network namespace",
    ]


def test_take_over_adopts_and_then_changes(kernel: Kernel) -> None:
    kernel.add("web0", "macvlan", {"state": "down", "mode": "vepa", "address": OTHER, "mtu": 1500},
               lower=kernel.links["eth0"].ifindex, alias="mine")  # fmt: skip
    done = applied(kernel, topology(ETH0, web()), take_over=True)
    assert told(done)[0] == "set alias xdpctl:edge of web0"
    (line,) = lines(done)
    assert (line.op, line.reason) == ("update", "taken over")
    assert line.changes["alias"] == Difference("mine", "xdpctl:edge")
    kernel.perform([step for one in reversed(done) for step in one.reverse()])
    assert kernel.links["web0"].alias == "mine"


def test_the_hint_is_given_where_it_helps(kernel: Kernel) -> None:
    eth0 = kernel.links["eth0"].ifindex
    kernel.add("theirs", "macvlan", {"state": "up", "address": MAC, "mode": "vepa"}, lower=eth0)
    for wanted, hint in ((web(), None), (device("theirs", "macvlan", parent="eth0"), TAKE_OVER)):
        with pytest.raises(ConflictError) as caught:
            steps(topology(ETH0, wanted), kernel.host())
        assert caught.value.hint == hint


def test_a_nic_is_never_taken_over(kernel: Kernel) -> None:
    wanted = topology(device("eth0", "bridge"))
    with pytest.raises(ConflictError, match="eth0 exists and is not ours"):
        steps(wanted, kernel.host(), take_over=True)


def test_somebody_elses_device_does_not_fall_with_ours(kernel: Kernel) -> None:
    applied(kernel, topology(device("br0", "bridge")))
    kernel.add("vlan1", "vlan", {"id": 1, "mtu": 1500}, lower=kernel.links["br0"].ifindex)
    with pytest.raises(ConflictError, match="vlan1 is not ours and would vanish with br0"):
        steps(topology(ETH0), kernel.host())
    with pytest.raises(ConflictError, match="vlan1"):
        links.removal("edge", kernel.host())


def test_a_bond_does_not_take_what_somebody_stands_on(kernel: Kernel) -> None:
    kernel.add("web9", "macvlan", {"state": "up"}, lower=kernel.links["eth1"].ifindex)
    with pytest.raises(ConflictError, match="eth1 cannot be a port of bond0 while web9 stands"):
        steps(topology(*PORTS, device("bond0", "bond", **BOND)), kernel.host())


def test_missing_roots_with_the_nearest_name(kernel: Kernel) -> None:
    with pytest.raises(MissingError, match=r"no device eth9 \(did you mean eth\d\?\)"):
        steps(topology(device("eth9", "physical")), kernel.host())


def test_physical_is_not_owned_any_more(kernel: Kernel) -> None:
    applied(kernel, topology(device("br0", "bridge")))
    done = applied(kernel, topology(device("br0", "physical")))
    assert told(done) == ["set alias none of br0"]


def test_both_ends_of_a_veth(kernel: Kernel) -> None:
    ends = (device("v0", "veth", peer="v1", state="up"), device("v1", "veth", peer="v0"))
    done = applied(kernel, topology(*ends))
    assert told(done).count("create veth v0") == 1
    assert {line.device for line in lines(done)} == {"v0", "v1"}
    applied(kernel, topology(ends[0]))
    assert {"v0", "v1"} <= kernel.links.keys()
    applied(kernel, topology(ETH0))
    assert not {"v0", "v1"} & kernel.links.keys()


def test_the_same_input_gives_the_same_plan(kernel: Kernel) -> None:
    names = [f"w{number}" for number in range(30)]
    random.Random(1).shuffle(names)
    wanted = topology(ETH0, *(
        device(name, "macvlan", parent="eth0", address=f"02:00:00:00:01:{at:02x}", state="up")
        for at, name in enumerate(names)
    ))  # fmt: skip
    first = told(steps(wanted, kernel.host()))
    assert first == told(steps(wanted, kernel.host()))
    assert [one.split()[2] for one in first if one.startswith("create")] == names


def test_nothing_to_do_at_4096_devices_is_quick(kernel: Kernel) -> None:
    wanted = topology(ETH0, *(
        device(f"t{at}", "macvlan", parent="eth0", state="up", mtu=1500,
               address=f"02:00:00:01:{at >> 8:02x}:{at & 255:02x}")
        for at in range(4096)
    ))  # fmt: skip
    lower = kernel.links["eth0"].ifindex
    for one in wanted.devices.values():
        if one.kind == "macvlan":
            kernel.add(one.name, "macvlan", dict(one.properties), lower=lower, alias="xdpctl:edge")
    host = kernel.host()
    start = time.process_time()
    assert not steps(wanted, host)
    assert time.process_time() - start < 0.3


def test_ports_trade_their_queues(kernel: Kernel) -> None:
    def bond(one: int, two: int) -> Topology:
        own = {"eth1": {"queue_id": one}, "eth2": {"queue_id": two}}
        return topology(
            *PORTS, device("bond0", "bond", ports=("eth1", "eth2"), port_properties=own)
        )

    applied(kernel, bond(1, 2))
    assert told(applied(kernel, bond(2, 1))) == [
        "set queue_id 0 of port eth1",
        "set queue_id 0 of port eth2",
        "set queue_id 2 of port eth1",
        "set queue_id 1 of port eth2",
    ]
    assert len(applied(kernel, bond(3, 1))) == 1
    own = {"eth1": {"queue_id": 1}}  # of eth2's, which it had, nothing is said
    one = device("bond0", "bond", ports=("eth1", "eth2"), port_properties=own)
    assert told(applied(kernel, topology(*PORTS, one))) == [
        "set queue_id 0 of port eth2",
        "set queue_id 1 of port eth1",
    ]


def test_a_bond_keeps_its_address_whatever_ports_come_and_go(kernel: Kernel) -> None:
    def bond(mode: str, *ports: str) -> Topology:
        return topology(*PORTS, device("bond0", "bond", mode=mode, ports=ports))

    applied(kernel, bond("balance-rr", "eth1"))
    kernel.change(kernel.links["bond0"], "address", MAC)
    for wanted in (bond("balance-rr", "eth2"), bond("802.3ad", "eth2"), bond("802.3ad", "eth1")):
        applied(kernel, wanted)
        assert kernel.links["bond0"].properties["address"] == MAC
