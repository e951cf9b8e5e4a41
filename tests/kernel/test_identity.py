"""What is ours is known by what it is: names, labels and ifindexes move."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from tests.kernel.conftest import Netns
from tests.kernel.rig import BROADCAST, OPPOSITE, WEB, Rig, rules, verdicts
from xdpctl.bpf import links, pins, program
from xdpctl.bpf.asm import R0, Assembler
from xdpctl.errors import ApplyError
from xdpctl.host import clsact
from xdpctl.host.rtnl import Rtnl

pytestmark = pytest.mark.kernel


@pytest.fixture
def applied(rig: Rig) -> Rig:
    rig.apply(OPPOSITE)
    for device in ("web0", "db0"):
        rig.listen(device)
    return rig


def test_a_device_that_lost_our_label_is_left_whole(applied: Rig) -> None:
    """It is somebody else's now: it stays, and nothing of ours stays on it."""
    applied.nic.ip("link", "set", "web0", "alias", "mine")
    applied.destroy()
    applied.send(WEB, 9001, for_="web0")
    assert applied.received() == {("web0", 9001): 5}
    with applied.nic.entered(), Rtnl() as rtnl:
        assert clsact.program_id(rtnl, socket.if_nametoindex("web0")) is None


def test_gates_of_many_devices_are_told_from_none(applied: Rig) -> None:
    nic = applied.nic
    nic.ip("link", "add", "bare0", "type", "veth", "peer", "name", "other0")
    nic.run("tc", "qdisc", "add", "dev", "other0", "clsact")
    with nic.entered(), Rtnl() as rtnl:
        index = {name: socket.if_nametoindex(name) for name in ("web0", "db0", "bare0", "other0")}
        asked = [index["bare0"], index["web0"], 99999, index["other0"], index["db0"]] * 60
        found = clsact.program_ids(rtnl, asked)
    assert found.keys() == {index["web0"], index["db0"]}
    with program.open_id(found[index["web0"]]) as gate:
        assert gate.info.name == "xdpctl_gate"


def test_a_root_renamed_under_match(rig: Rig) -> None:
    text = OPPOSITE.replace(
        "eth0: {kind: physical}",
        'wan: {kind: physical, match: {mac: "02:00:00:00:00:01"}, xdp: {policy: db}}',
    ).replace("parent: eth0", "parent: wan")
    rig.apply(text)
    rig.listen("web0")
    rig.nic.ip("link", "set", "eth0", "down")
    rig.nic.ip("link", "set", "eth0", "name", "nic0")
    rig.nic.ip("link", "set", "nic0", "up")
    assert not rig.plan(text).changed
    rig.apply(text.replace("udp.dport: 9000}, action: pass", "udp.dport: [9001]}, action: pass"))
    rig.send(WEB, 9001, for_="web0")
    assert rig.received() == {("web0", 9001): 5}
    assert rig.show()["nic0"]["xdp"]["mode"] == "native"
    rig.destroy()
    (nic0,) = rig.nic.json("link", "show", "nic0")
    assert "xdp" not in nic0
    assert not pins.entries(pins.directory(rig.nic.name, "edge"))


def test_policed_devices_taken_over_without_a_policy(applied: Rig) -> None:
    other = """\
        version: 1
        name: other
        devices:
          eth0: {kind: physical}
          web0: {kind: macvlan, parent: eth0, mode: bridge, address: "02:00:00:00:00:10"}
    """
    applied.apply(other, take_over=True)
    assert not applied.plan(other).changed
    applied.send(BROADCAST, 9001, count=3)
    assert applied.received()["web0", 9001] == 3
    applied.destroy("other")


def test_an_ifindex_that_comes_back_begins_to_count_from_nothing(applied: Rig) -> None:
    applied.send(WEB, 9000, for_="web0")
    applied.received()
    index = applied.show()["web0"]["ifindex"]
    applied.deafen()
    applied.nic.ip("link", "delete", "web0")
    applied.nic.ip(
        "link", "add", "neu0", "index", str(index), "link", "eth0", "type", "macvlan",
        "mode", "bridge",
    )  # fmt: skip
    assert "neu0" not in applied.show(), "not ours, although it has the ifindex of ours"
    text = OPPOSITE.replace("web0", "neu0")
    applied.apply(text, take_over=True)
    shown = applied.show()["neu0"]
    assert (shown["ifindex"], rules(shown)["only"]) == (index, 0)


def test_a_namespace_of_the_same_name_begins_to_count_from_nothing(
    netnses: Callable[[], Netns],
) -> None:
    first = Rig(netnses(), netnses())
    first.connect()
    first.apply(OPPOSITE.replace("{kind: physical}", "{kind: physical, xdp: {policy: db}}"))
    first.listen("web0")
    first.send(WEB, 9000, for_="web0")
    first.received()
    first.deafen()
    first.nic.ip("link", "delete", "eth0")
    again = Rig(first.nic, first.wire)
    again.connect()
    again.apply(OPPOSITE.replace("{kind: physical}", "{kind: physical, xdp: {policy: db}}"))
    shown = again.show()
    assert verdicts(shown["web0"]) == verdicts(shown["eth0"]) == {}
    again.close()
    first.senders["wire"].close()


def test_totals_of_rules_that_are_gone_outlive_a_rebuild(applied: Rig) -> None:
    applied.send(WEB, 9000, for_="web0")
    applied.received()
    applied.apply(OPPOSITE.replace("name: only,", "name: other,"))
    more = "".join(
        f"{{name: r{i}, match: {{udp.dport: {i + 1}}}, action: pass}}, " for i in range(40)
    )
    applied.apply(OPPOSITE.replace("rules: [{name: only,", f"rules: [{more}{{name: third,"))
    assert verdicts(applied.show()["web0"])["pass"] == 5


def test_the_roots_address_is_the_files(rig: Rig) -> None:
    text = OPPOSITE.replace(
        "{kind: physical}",
        '{kind: physical, address: "02:aa:00:00:00:77", xdp: {unknown: drop}}',
    )
    rig.apply(text)
    rig.listen("eth0")
    rig.send("02:aa:00:00:00:77", 9000, for_="eth0")
    assert rig.received() == {("eth0", 9000): 5}


@pytest.mark.parametrize("unknown", ["pass", "drop"])
def test_a_bridge_that_takes_its_address_from_a_port(rig: Rig, unknown: str) -> None:
    """The port joins when the pipeline is attached already."""
    text = f"""\
        version: 1
        name: edge
        devices:
          eth0: {{kind: physical}}
          br0: {{kind: bridge, state: up, ports: [eth0], xdp: {{unknown: {unknown}}}}}
          web0:
            {{kind: macvlan, parent: br0, mode: bridge, address: "{WEB}", state: up,
             xdp: {{policy: web}}}}
        policies:
          web: {{default: drop, rules: [{{name: only, match: {{udp.dport: 9000}}, action: pass}}]}}
    """
    rig.apply(text)
    assert not rig.plan(text).changed
    for device in ("br0", "web0"):
        rig.listen(device)
    address = rig.nic.json("link", "show", "br0")[0]["address"]
    rig.send(address, 9000, for_="br0")
    rig.send(WEB, 9000, for_="web0")
    rig.send(WEB, 9001, for_="web0")
    assert rig.received() == {("br0", 9000): 5, ("web0", 9000): 5}


def test_a_policy_on_a_port_of_a_bridge(rig: Rig) -> None:
    rig.apply("""\
        version: 1
        name: edge
        devices:
          eth0: {kind: physical, state: up, xdp: {policy: guard}}
          br0: {kind: bridge, state: up, ports: [eth0]}
        policies:
          guard: {rules: [{name: not, match: {udp.dport: 9001}, action: drop}]}
    """)
    rig.listen("br0")
    address = rig.nic.json("link", "show", "br0")[0]["address"]
    rig.send(address, 9000, for_="br0")
    rig.send(address, 9001, for_="br0")
    assert rig.received() == {("br0", 9000): 5}


def test_taking_over_leaves_another_namespaces_program_alone(
    netnses: Callable[[], Netns],
) -> None:
    """bpf_links do not tell their namespace, and ifindexes are numbered in each."""
    rigs = [Rig(netnses(), netnses()) for _ in range(2)]
    code = Assembler()
    code.mov(R0, 2)
    code.exit()
    with program.load(code.assemble(), program.Flavour.XDP, "someone") as theirs:
        held = []
        for rig in rigs:
            rig.connect()
            with rig.nic.entered():
                index = socket.if_nametoindex("eth0")
                flags = links.XDP_FLAGS_DRV_MODE
                held.append(links.create(theirs.fd, index, links.Hook.XDP, flags))
        try:
            assert held[0].info.ifindex == held[1].info.ifindex
            with pytest.raises(ApplyError, match="one of the bpf_links"):
                rigs[0].apply(OPPOSITE, take_over=True)
            assert all(link.info.ifindex for link in held)
            held[1].detach()
            rigs[0].apply(OPPOSITE, take_over=True)
            assert held[0].info.ifindex == 0
        finally:
            for link in held:
                link.close()
            for rig in rigs:
                rig.close()
