"""Devices that live in other network namespaces: policed from the root, and at themselves."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kernel import rig as rigs
from tests.kernel.conftest import Netns
from tests.kernel.containers import Container, Yard, frame
from tests.kernel.rig import BROADCAST, DB, WEB, Rig, rules, verdicts
from xdpctl.apply import run
from xdpctl.errors import ConflictError, MissingError
from xdpctl.topology.load import load_texts

pytestmark = pytest.mark.kernel

POLICIES = """\
policies:
  web: {default: drop, rules: [{name: only, match: {udp.dport: 9000}, action: pass}]}
  db: {default: pass, rules: [{name: not, match: {udp.dport: 9000}, action: drop}]}
"""
"""web passes 9000 and nothing else, db anything else and not 9000."""
OTHER = "02:00:00:00:00:20"


@pytest.fixture
def yard(rig: Rig, netnses: Callable[[], Netns]) -> Iterator[Yard]:
    made = Yard(rig, netnses)
    try:
        yield made
    finally:
        for each in made.containers:
            each.close()


def macvlan(name: str, address: str, policy: str, netns: str = "", more: str = "") -> str:
    """The line of a macvlan on eth0; `address` "": none is given."""
    keys = [f'address: "{address}"'] if address else []
    keys += [f"netns: {netns}"] if netns else []
    keys += [f"xdp: {{policy: {policy}}}"] if policy else []
    rest = "".join(f", {key}" for key in keys)
    return f"  {name}: {{kind: macvlan, parent: eth0, mode: bridge, state: up{rest}{more}}}\n"


def topology(*lines: str, root: str = "", policies: str = POLICIES) -> str:
    """A file with the devices of these lines on eth0."""
    head = f"version: 1\nname: edge\ndevices:\n  eth0: {{kind: physical{root}}}\n"
    return head + "".join(lines) + policies


def opposite(one: Container, other: Container, root: str = "") -> str:
    """web0 in one container and db0 in the other."""
    return topology(
        macvlan("web0", WEB, "web", one.name), macvlan("db0", DB, "db", other.name), root=root
    )


@pytest.mark.parametrize("root", ["", ", xdp: {mode: generic}"], ids=["native", "generic"])
def test_the_same_ifindex_in_two_containers_and_opposite_policies(yard: Yard, root: str) -> None:
    one, other = yard.container(), yard.container()
    yard.rig.apply(opposite(one, other, root))
    assert one.links()["web0"]["ifindex"] == other.links()["db0"]["ifindex"]
    for mac in (WEB, DB, BROADCAST):
        yard.send(mac, 9000, 3)
        yard.send(mac, 9001, 4)
    assert yard.received() == [{9000: 6}, {9001: 8}]
    one.send("web0", DB, 9000, 5)
    one.send("web0", DB, 9001, 7)
    other.send("db0", WEB, 9000, 9)
    other.send("db0", WEB, 9001, 11)
    other.send("db0", BROADCAST, 9001, 2)
    assert yard.received() == [{9000: 9}, {9001: 7}]
    shown = yard.rig.show()
    assert verdicts(shown["web0"]) == {"pass": 15, "drop": 8 + 11 + 2}
    assert verdicts(shown["db0"]) == {"pass": 15, "drop": 6 + 5}
    assert shown["web0"]["netns"] == one.name
    assert shown["web0"]["ifindex"] == one.links()["web0"]["ifindex"]
    assert "netns" not in shown["eth0"]
    assert not yard.rig.plan(opposite(one, other, root)).changed


def test_a_frame_for_one_device_is_not_taken_for_another_ones_of_that_ifindex(yard: Yard) -> None:
    """A device in here gives its address to one elsewhere: what the stale pipeline has marked as
    passed for the first must meet the policy of the second.
    """
    one = yard.container()
    for name, mac, where in (("web0", WEB, ("netns", one.name)), ("all0", OTHER, ())):
        yard.rig.nic.ip("link", "add", "link", "eth0", "name", name, *where, "index", "77",
                        "address", mac, "type", "macvlan", "mode", "bridge")  # fmt: skip
    text = topology(
        macvlan("all0", OTHER, "all"),
        macvlan("web0", WEB, "web", one.name),
        policies=POLICIES + "  all: {default: pass}\n",
    )
    yard.rig.apply(text, take_over=True)
    assert yard.rig.nic.json("link", "show", "all0")[0]["ifindex"] == 77
    assert one.links()["web0"]["ifindex"] == 77
    yard.rig.nic.ip("link", "set", "all0", "address", "02:00:00:00:00:77")
    one.netns.ip("link", "set", "web0", "address", OTHER)
    yard.send(OTHER, 9001, 5)
    yard.send(OTHER, 9000, 3)
    assert yard.received() == [{9000: 3}]
    assert rules(yard.rig.show()["web0"]) == {"only": 3, "default": 5}


def test_two_containers_that_trade_their_addresses_keep_their_policies(yard: Yard) -> None:
    one, other = yard.container(), yard.container()
    text = topology(macvlan("web0", "", "web", one.name), macvlan("db0", "", "db", other.name))
    yard.rig.apply(text)
    macs = one.links()["web0"]["address"], other.links()["db0"]["address"]
    one.netns.ip("link", "set", "web0", "address", "02:00:00:00:00:77")
    other.netns.ip("link", "set", "db0", "address", macs[0])
    one.netns.ip("link", "set", "web0", "address", macs[1])
    for stale in (True, False):
        for mac in macs:
            yard.send(mac, 9000, 3)
            yard.send(mac, 9001, 4)
        # While the pipeline does not know, either policy drops what it would.
        arrive: list[dict[int, int]] = [{}, {}] if stale else [{9000: 3}, {9001: 4}]
        assert yard.received() == arrive
        plan = yard.rig.plan(text)
        assert [(one.op, one.device, [*one.changes]) for one in plan.actions] == [
            ("update", name, ["xdp.address"]) for name in ("web0", "db0") if stale
        ]
        yard.rig.apply(text)
    assert one.links()["web0"]["address"] == macs[1], "an address that is followed is not set"


def test_above_a_bridge_that_the_pipeline_dispatches_for(yard: Yard) -> None:
    """The mark is longer there, and so are the gates."""
    one, other = yard.container(), yard.container()
    bridge = f"kind: bridge, ports: [eth0], state: up, address: '{OTHER}', xdp: {{policy: guard}}"
    text = topology(
        f"  br0: {{{bridge}}}\n",
        macvlan("web0", WEB, "web", one.name).replace("eth0", "br0"),
        macvlan("db0", DB, "db", other.name).replace("eth0", "br0"),
        policies=POLICIES + "  guard: {rules: [{match: {udp.dport: 1}, action: drop}]}\n",
    )
    yard.rig.apply(text)
    assert not yard.rig.plan(text).changed
    for mac in (WEB, DB, BROADCAST):
        yard.send(mac, 9000, 3)
        yard.send(mac, 9001, 4)
    assert yard.received() == [{9000: 6}, {9001: 8}]
    shown = yard.rig.show()
    assert verdicts(shown["web0"]) == {"pass": 6, "drop": 8}
    assert shown["web0"]["xdp"]["mode"] == shown["db0"]["xdp"]["mode"] == "dispatched"


def test_a_given_address_is_put_back(yard: Yard) -> None:
    one = yard.container()
    text = topology(macvlan("web0", WEB, "web", one.name))
    yard.rig.apply(text)
    one.netns.ip("link", "set", "web0", "address", OTHER)
    yard.send(OTHER, 9000, 2)
    yard.send(OTHER, 9001, 3)
    assert yard.received() == [{9000: 2}], "policed at the device, whatever its address"
    (action,) = yard.rig.plan(text).actions
    assert (action.device, [*action.changes]) == ("web0", ["address"])
    yard.rig.apply(text)
    assert one.links()["web0"]["address"] == WEB


def test_moving_under_traffic(yard: Yard) -> None:
    """From here to a container, to another one and back: nothing is unpoliced, what does not move
    loses nothing, and the counters go on.
    """
    one, other = yard.container(), yard.container()
    stays = macvlan("db0", DB, "db", other.name)
    places = [one.name, other.name, "", one.name]
    yard.rig.apply(topology(macvlan("web0", WEB, "web"), stays))
    sent = {"db": 0, "web": 0}
    stop = threading.Event()

    def traffic() -> None:
        wire = yard.rig.senders["wire"]
        while not stop.is_set():
            for name, mac, port in (("db", DB, 9001), ("web", WEB, 9001)):
                wire.send(frame(mac, port))
                sent[name] += 1
            wire.send(frame(BROADCAST, 9000))  # db0 takes none of them, web0 all
            time.sleep(0.0002)

    thread = threading.Thread(target=traffic)
    thread.start()
    try:
        for place in places:
            before = verdicts(yard.rig.show()["web0"])
            text = topology(macvlan("web0", WEB, "web", place), stays)
            moved = [step for step in yard.rig.plan(text).actions if step.device == "web0"]
            assert "netns" in moved[0].changes
            assert "loses its IP addresses" in moved[0].reason
            yard.rig.apply(text)
            assert not yard.rig.plan(text).changed
            assert verdicts(yard.rig.show()["web0"])["drop"] >= before.get("drop", 0)
            time.sleep(0.05)
    finally:
        stop.set()
        thread.join()
    first, second = yard.received()
    assert set(first) == {9000}, "what web drops has arrived in the first container"
    assert second[9001] == sent["db"], "frames for a device that stays were lost, or web's got in"
    assert verdicts(yard.rig.show()["web0"])["drop"] > sent["web"] // 2, "counters began anew"


def test_what_leaves_the_file_is_deleted_there_and_destroy_finds_the_rest(yard: Yard) -> None:
    one, other = yard.container(), yard.container()
    yard.rig.apply(opposite(one, other))
    theirs = ("link", "add", "v0", "type", "veth", "peer", "name", "v1")
    one.netns.ip(*theirs)
    applied = yard.rig.apply(topology(macvlan("db0", DB, "db", other.name)))
    assert applied.plan.summary["delete"] == 1
    assert set(one.links()) == {"v0", "v1"}
    assert any("namespaces" in pin for pin in rigs.pins(yard.rig.nic))
    yard.rig.destroy()
    assert not other.links()
    assert not rigs.pins(yard.rig.nic)


def test_a_namespace_that_is_missing_is_an_error_before_anything_is_touched(yard: Yard) -> None:
    one = yard.container()
    text = topology(macvlan("all0", OTHER, ""), macvlan("web0", WEB, "web", f"{one.name}x"))
    with pytest.raises(MissingError, match=rf"topo.yaml:6:3: .*{one.name}x \(did you mean"):
        yard.rig.apply(text)
    assert {each["ifname"] for each in yard.rig.nic.json("link")} == {"lo", "eth0"}
    assert not rigs.pins(yard.rig.nic)


def test_a_namespace_that_was_deleted_took_its_devices_along(yard: Yard) -> None:
    one, other = yard.container(), yard.container()
    text = opposite(one, other)
    yard.rig.apply(text)
    one.close()
    subprocess.run(["ip", "netns", "delete", one.name], check=True)
    with pytest.raises(MissingError, match=one.name):
        yard.rig.plan(text)
    alone = topology(macvlan("db0", DB, "db", other.name))
    yard.rig.apply(alone)
    assert not yard.rig.plan(alone).changed
    subprocess.run(["ip", "netns", "add", one.name], check=True)
    assert yard.rig.apply(text).plan.summary["create"] == 1
    assert "web0" in one.links()
    other.close()
    subprocess.run(["ip", "netns", "delete", other.name], check=True)
    yard.rig.destroy()
    assert not one.links()
    assert not rigs.pins(yard.rig.nic)


def test_a_gate_that_was_taken_off_inside_is_hung_up_again(yard: Yard) -> None:
    one, other = yard.container(), yard.container()
    text = opposite(one, other)
    yard.rig.apply(text)
    one.netns.run("tc", "qdisc", "del", "dev", "web0", "clsact")
    with yard.rig.nic.entered():
        from xdpctl.datapath.report import report

        observed = run.observe("edge")
        drift = report(observed.host, observed.live)["drift"]
    assert [each["device"] for each in drift if each["op"] == "attach"] == ["web0"]
    yard.send(WEB, 9001)
    assert yard.received() == [{}, {}], "unicast from the wire meets the policy at the root"
    (action,) = yard.rig.plan(text).actions
    assert (action.op, action.device) == ("attach", "web0")
    yard.rig.apply(text)
    yard.send(BROADCAST, 9001, 2)
    assert yard.received() == [{}, {9001: 2}]


def test_a_label_inside_a_container_is_no_word_of_ours(yard: Yard) -> None:
    """Whoever rules a namespace may write our label, or take it away."""
    one, other = yard.container(), yard.container()
    text = opposite(one, other)
    yard.rig.apply(text)
    one.netns.ip("link", "add", "eth0", "type", "veth", "peer", "name", "db0")
    one.netns.ip("link", "set", "eth0", "alias", "xdpctl:edge")
    one.netns.ip("link", "set", "db0", "alias", "xdpctl:edge")
    assert not yard.rig.plan(text).changed
    one.netns.ip("link", "set", "web0", "alias", "")
    (action,) = yard.rig.plan(text).actions
    assert (action.device, [*action.changes]) == ("web0", ["alias"])
    yard.rig.apply(text)
    assert one.links()["web0"]["ifalias"] == "xdpctl:edge"
    assert set(one.links()) == {"web0", "eth0", "db0"}


def test_a_device_of_somebody_elses_is_taken_over_and_moved(yard: Yard) -> None:
    one, other = yard.container(), yard.container()
    text = opposite(one, other)
    add = ("link", "add", "link", "eth0", "name", "web0", "address", WEB, "up", "type", "macvlan",
           "mode", "bridge")  # fmt: skip
    yard.rig.nic.ip(*add)
    with pytest.raises(ConflictError, match="web0 exists and is not ours"):
        yard.rig.apply(text)
    yard.rig.apply(text, take_over=True)
    assert "web0" in one.links()
    yard.rig.destroy()
    yard.rig.nic.ip(*add)
    yard.rig.nic.ip("link", "set", "web0", "netns", one.name)
    with pytest.raises(ConflictError, match=f"web0 exists in network namespace {one.name} and is"):
        yard.rig.apply(text)
    yard.rig.apply(text, take_over=True)
    yard.send(BROADCAST, 9000, 2)
    yard.send(BROADCAST, 9001, 3)
    assert yard.received() == [{9000: 2}, {9001: 3}]


def test_a_device_that_somebody_has_moved_is_found_where_the_file_says(yard: Yard) -> None:
    """As a container's runtime does: it is down then, and without its gate and addresses."""
    one = yard.container()
    yard.rig.apply(topology(macvlan("web0", WEB, "web")))
    yard.rig.nic.ip("link", "set", "web0", "netns", one.name)
    text = topology(macvlan("web0", WEB, "web", one.name))
    ops = {(each.op, each.device) for each in yard.rig.plan(text).actions}
    assert ops == {("update", "web0"), ("attach", "web0")}
    yard.rig.apply(text)
    for mac in (WEB, BROADCAST):
        yard.send(mac, 9000, 2)
        yard.send(mac, 9001, 3)
    assert yard.received() == [{9000: 4}]
    assert verdicts(yard.rig.show()["web0"]) == {"pass": 4, "drop": 6}


def test_nothing_is_sent_by_an_ifindex_of_another_namespace(yard: Yard) -> None:
    """`tx` and `redirect` of a clone end at the device: their ifindexes are of the root's own."""
    one = yard.container()
    one.netns.ip("link", "add", "v0", "index", "88", "type", "veth", "peer", "name", "v1")
    for end in ("v0", "v1"):
        one.netns.ip("link", "set", end, "up")
    yard.rig.nic.ip("link", "add", "out0", "index", "88", "type", "veth", "peer", "name", "out1")
    for end in ("out0", "out1"):
        yard.rig.nic.ip("link", "set", end, "up")
    yard.rig.nic.run("ethtool", "-K", "out1", "gro", "on")
    text = topology(
        macvlan("web0", WEB, "away", one.name),
        "  out0: {kind: physical}\n",
        policies="policies:\n  away:\n    rules:\n"
        "      - {name: there, match: {udp.dport: 9000}, action: {redirect: out0}}\n"
        "      - {name: back, match: {udp.dport: 9001}, action: tx}\n",
    )
    yard.rig.apply(text)
    before = {name: counted(one, name) for name in ("v0", "v1", "web0")}
    yard.send(BROADCAST, 9000, 3)
    yard.send(BROADCAST, 9001, 4)
    assert yard.received() == [{}]
    after = {name: counted(one, name) for name in ("v0", "v1", "web0")}
    assert after == before, "a frame was sent inside the container"
    assert rules(yard.rig.show()["web0"]) == {"there": 3, "back": 4, "default": 0}


def counted(container: Container, device: str) -> int:
    """Packets that a device of the container has sent."""
    (link,) = json.loads(
        subprocess.run(
            ["ip", "-n", container.name, "-s", "-j", "link", "show", device],
            check=True, capture_output=True, text=True,
        ).stdout
    )  # fmt: skip
    return int(link["stats64"]["tx"]["packets"])


def test_a_range_of_containers_and_kinds_besides_macvlan(yard: Yard) -> None:
    one, other = yard.container(), yard.container()
    text = topology(
        "  tap0: {kind: tap, state: up, netns: " + one.name + ", address: '02:00:00:00:00:31'}\n",
        "  in0: {kind: veth, peer: out0, state: up, netns: " + other.name + "}\n",
        "  out0: {kind: veth, peer: in0, state: up}\n",
        "  far0: {kind: veth, peer: far1, netns: " + one.name + "}\n",
        "  far1: {kind: veth, peer: far0, netns: " + other.name + ", mtu: 1400}\n",
        macvlan("vm0", "", "db", one.name).replace("macvlan", "macvtap"),
    )
    yard.rig.apply(text)
    assert set(one.links()) == {"tap0", "far0", "vm0"}
    assert set(other.links()) == {"in0", "far1"}
    assert other.links()["far1"]["mtu"] == 1400
    assert not yard.rig.plan(text).changed
    assert yard.rig.apply(topology()).plan.summary["delete"] >= 4
    assert not one.links()
    assert not other.links()


def test_the_commands_know_such_devices(yard: Yard, tmp_path: Path) -> None:
    one, other = yard.container(), yard.container()
    seen = "rules: [{name: seen, match: {udp.dport: 9001}, action: log}, {name: not"
    text = opposite(one, other).replace("rules: [{name: not", seen) + (
        "tests:\n  - {name: t, packet: {to: web0, udp: {dport: 9000}}, "
        "expect: {verdict: pass, at: web0}}\n"
    )
    path = str(tmp_path / "edge.yaml")
    (tmp_path / "edge.yaml").write_text(text, encoding="utf-8")
    nic = yard.rig.nic
    assert rigs.command(nic, "test", path).returncode == 0
    assert f"netns   = {one.name}" in rigs.command(nic, "plan", path).stdout
    done = rigs.command(nic, "apply", "--yes", path)
    assert done.returncode == 0, done.stderr
    assert rigs.command(nic, "plan", "--detailed-exitcode", path).returncode == 0
    assert f"in network namespace {one.name}" in rigs.command(nic, "show", "edge").stdout
    tracer = subprocess.Popen(
        [sys.executable, "-m", "xdpctl", "--netns", nic.name, "-o", "json",
         "trace", "edge", "--live", "--count", "2", "--seconds", "20"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert tracer.stderr is not None
    tracer.stderr.readline()
    time.sleep(0.3)
    yard.send(DB, 9001, 1)
    yard.send(BROADCAST, 9001, 1)
    out, _ = tracer.communicate(timeout=30)
    samples = [json.loads(line) for line in out.splitlines()]
    assert [(each["device"], each["layer"]) for each in samples] == [
        ("db0", "dispatched"), ("db0", "backstop")
    ]  # fmt: skip
    assert rigs.command(nic, "destroy", "--yes", "edge").returncode == 0
    assert not one.links()


def test_load_texts_knows_netns() -> None:
    text = topology("  web[1-2]: {kind: macvlan, parent: eth0, netns: 'ct[01-02]'}\n", policies="")
    devices = load_texts({"t.yaml": text}).devices
    assert [devices[name].netns for name in ("web1", "web2")] == ["ct01", "ct02"]
