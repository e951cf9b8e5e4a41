"""Changes under traffic: no frame unpoliced, none lost that should pass, no count forgotten."""

from __future__ import annotations

import socket

import pytest

from tests.kernel.rig import Rig, Traffic, rules, verdicts
from xdpctl.bpf import links, pins, program
from xdpctl.bpf.asm import R0, Assembler
from xdpctl.datapath import bodies
from xdpctl.errors import ConflictError
from xdpctl.host.rtnl import Rtnl
from xdpctl.host.xdp import set_xdp

pytestmark = pytest.mark.kernel

WEB, DB = "02:00:00:00:00:10", "02:00:00:00:00:11"

TEXT = """\
version: 1
name: edge
devices:
  eth0: {kind: physical}
  web0:
    {kind: macvlan, parent: eth0, mode: bridge, address: "02:00:00:00:00:10", state: up,
     xdp: {policy: web}}
  db0:
    {kind: macvlan, parent: eth0, mode: bridge, address: "02:00:00:00:00:11", state: up,
     xdp: {policy: db}}
policies:
  web:
    default: drop
    rules:
      - {name: only, match: {udp.dport: 9000}, action: pass}
  db: {default: pass, rules: [{name: not, match: {udp.dport: 9000}, action: drop}]}
"""
EDITED = TEXT.replace("udp.dport: 9000}, action: pass", "udp.dport: [9000, 9500]}, action: pass")
MORE_RULES = "".join(
    f"      - {{name: new{i}, match: {{udp.dport: {i + 1}}}, action: pass}}\n" for i in range(40)
)
LONGER = TEXT.replace("    rules:\n", "    rules:\n" + MORE_RULES, 1)
RENAMED = TEXT.replace("policy: web}", "policy: shop}").replace("  web:\n", "  shop:\n")
SWAPPED = (
    TEXT.replace("policy: web}", "policy: x}")
    .replace("policy: db}", "policy: web}")
    .replace("policy: x}", "policy: db}")
)


@pytest.fixture
def applied(rig: Rig) -> Rig:
    rig.apply(TEXT)
    for device in ("web0", "db0"):
        rig.listen(device)
    return rig


STEPS = [(WEB, 9000, "web0"), (WEB, 9001, "web0"), (DB, 9000, "db0"), (DB, 9001, "db0")]


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param([EDITED, TEXT], id="a rule edited"),
        pytest.param([LONGER, TEXT], id="a policy that outgrows its counters"),
        pytest.param([RENAMED, TEXT], id="a policy renamed"),
        pytest.param(
            [TEXT.replace("{kind: physical}", "{kind: physical, xdp: {unknown: drop}}"), TEXT],
            id="the root changed",
        ),
        pytest.param(
            [TEXT.replace("policies:", 'X: {kind: macvlan, parent: eth0, mode: bridge, '
             'xdp: {policy: web}}\npolicies:').replace("\nX:", "\n  new0:"), TEXT],
            id="a device added and removed",
        ),
    ],
)  # fmt: skip
def test_nothing_slips_through_and_nothing_is_lost(applied: Rig, texts: list[str]) -> None:
    before = applied.show()
    with Traffic(applied, STEPS) as traffic:
        for rounds in range(30):
            for text in texts:
                assert applied.apply(text).applied
            if rounds >= 2 and min(traffic.sent[step[2], step[1]] for step in STEPS) > 100:
                break
    expected = {key: n for key, n in traffic.sent.items() if key in {("web0", 9000), ("db0", 9001)}}
    assert min(traffic.sent.values()) > 100
    assert applied.received() == expected
    shown = applied.show()
    for device, passed in (("web0", 9000), ("db0", 9001)):
        now, then = verdicts(shown[device]), verdicts(before[device])
        if device == "web0" and RENAMED in texts:
            continue  # another policy: its counters are others
        assert now["pass"] - then.get("pass", 0) >= traffic.sent[device, passed]
        assert now["drop"] - then.get("drop", 0) >= traffic.sent[device, 18001 - passed]


def test_counters_are_exact_over_an_edit_and_a_rebuild(applied: Rig) -> None:
    """What was counted before an edit and after it is all there, to the frame."""
    before = applied.show()
    with Traffic(applied, STEPS) as traffic:
        for text in (EDITED, LONGER, TEXT):
            applied.apply(text)
    applied.received()
    shown = applied.show()
    assert (
        rules(shown["web0"])["only"] - rules(before["web0"])["only"] == traffic.sent["web0", 9000]
    )
    assert rules(shown["db0"])["not"] - rules(before["db0"])["not"] == traffic.sent["db0", 9000]


def test_policies_swapped_between_devices(applied: Rig) -> None:
    applied.apply(SWAPPED)
    for to, device in ((WEB, "web0"), (DB, "db0")):
        applied.send(to, 9000, for_=device)
        applied.send(to, 9001, for_=device)
    assert applied.received() == {("web0", 9001): 5, ("db0", 9000): 5}
    assert not applied.plan(SWAPPED).changed


def test_policies_in_parts_mean_the_same(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many policies for one program: each part is reached by a tail call."""
    monkeypatch.setattr(bodies, "ROOM", 8)
    rig.apply(TEXT)
    for device in ("web0", "db0"):
        rig.listen(device)
    before = rig.show()
    with Traffic(rig, STEPS) as traffic:
        for text in (EDITED, TEXT, RENAMED, TEXT):
            rig.apply(text)
    rig.send("ff:ff:ff:ff:ff:ff", 9000, count=3)
    rig.send("ff:ff:ff:ff:ff:ff", 9001, count=4)
    rig.send(WEB, 9000, by="db0", for_="web0", count=5)
    assert rig.received() == {
        ("web0", 9000): traffic.sent["web0", 9000] + 3 + 5,
        ("db0", 9001): traffic.sent["db0", 9001] + 4,
    }
    assert rules(rig.show()["db0"])["not"] - rules(before["db0"])["not"] == (
        traffic.sent["db0", 9000] + 3
    )


def test_a_device_made_anew_by_hand_gets_its_policy_back(applied: Rig) -> None:
    applied.nic.ip("link", "delete", "web0")
    applied.nic.ip(
        "link", "add", "web0", "link", "eth0", "address", WEB, "type", "macvlan", "mode", "bridge"
    )
    applied.nic.ip("link", "set", "web0", "alias", "xdpctl:edge", "up")
    applied.deafen()
    applied.nic.ip("addr", "add", "10.0.0.10/24", "dev", "web0")
    applied.listen("web0")
    plan = applied.plan(TEXT)
    assert [(a.op, a.device) for a in plan.actions] == [("attach", "web0")]
    applied.apply(TEXT)
    applied.send(WEB, 9000, for_="web0")
    applied.send(WEB, 9001, for_="web0")
    assert applied.received() == {("web0", 9000): 5}


def test_an_address_changed_by_hand_is_policed_at_once(applied: Rig) -> None:
    """The pipeline is behind; the backstop is not. The next apply puts the address right."""
    moved = "02:00:00:00:00:77"
    applied.nic.ip("link", "set", "web0", "address", moved)
    applied.send(moved, 9000, for_="web0")
    applied.send(moved, 9001, for_="web0")
    assert applied.received() == {("web0", 9000): 5}
    applied.apply(TEXT)
    applied.send(WEB, 9000, for_="web0")
    applied.send(WEB, 9001, for_="web0")
    assert applied.received() == {("web0", 9000): 5}


def test_two_devices_that_trade_addresses_by_hand(applied: Rig) -> None:
    """Marked for the one, arriving at the other: the mark names the device, so it is policed."""
    for device, address in (("web0", "02:00:00:00:00:78"), ("db0", WEB), ("web0", DB)):
        applied.nic.ip("link", "set", device, "address", address)
    applied.send(WEB, 9001, for_="db0")
    applied.send(WEB, 9000, for_="db0")
    applied.send(DB, 9000, for_="web0")
    applied.send(DB, 9001, for_="web0")
    # WEB's frames meet web's policy at the root and db's at the device: 9001 and 9000 both die.
    assert applied.received() == {}
    applied.apply(TEXT)
    applied.send(WEB, 9000, for_="web0")
    assert applied.received() == {("web0", 9000): 5}


def test_a_program_taken_off_by_hand_comes_back(applied: Rig) -> None:
    pin = pins.directory(applied.nic.name, "edge") / "xdp-eth0"
    with links.Link(pins.open_pin(pin)) as link:
        link.detach()
    plan = applied.plan(TEXT)
    assert ("attach", "eth0") in [(a.op, a.device) for a in plan.actions]
    applied.send(WEB, 9001, for_="web0")
    assert applied.received() == {}, "the backstop stands alone"
    applied.apply(TEXT)
    applied.send(WEB, 9000, for_="web0")
    applied.send(WEB, 9001, for_="web0")
    assert applied.received() == {("web0", 9000): 5}
    assert applied.show()["eth0"]["xdp"]["mode"] == "native"


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_the_mode_changes_both_ways(applied: Rig, mode: str) -> None:
    text = TEXT.replace("{kind: physical}", f"{{kind: physical, xdp: {{mode: {mode}}}}}")
    applied.apply(text)
    assert applied.show()["eth0"]["xdp"]["mode"] == mode
    applied.send(WEB, 9000, for_="web0")
    applied.send(WEB, 9001, for_="web0")
    assert applied.received() == {("web0", 9000): 5}
    applied.apply(TEXT)
    assert applied.show()["eth0"]["xdp"]["mode"] == "native"
    applied.send(WEB, 9001, for_="web0")
    assert applied.received() == {}


def test_a_table_that_fills_up_is_rebuilt(applied: Rig) -> None:
    """More devices than the first table was made for, their counters kept."""
    applied.send(WEB, 9000, for_="web0", count=9)
    before = rules(applied.show()["web0"])["only"]
    more = TEXT.replace(
        "policies:",
        "  t[1-120]: {kind: macvlan, parent: eth0, mode: bridge, state: up, xdp: {policy: web},\n"
        '             address: {base: "02:00:00:01:00:00"}}\npolicies:',
    )
    applied.apply(more)
    assert rules(applied.show()["web0"])["only"] == before
    applied.listen("t117")
    applied.send("02:00:00:01:00:75", 9000, for_="t117")
    applied.send("02:00:00:01:00:75", 9001, for_="t117")
    applied.send(WEB, 9000, for_="web0", count=1)
    assert applied.received() == {("web0", 9000): 10, ("t117", 9000): 5}
    assert not applied.plan(more).changed


def test_a_device_replaced_by_a_passthru_one(rig: Rig) -> None:
    """Its address is the root's, which nobody knows before it exists."""
    text = """\
        version: 1
        name: edge
        devices:
          eth0: {kind: physical}
          one0: {kind: macvlan, parent: eth0, mode: MODE, state: up, xdp: {policy: none}}
        policies: {none: {default: drop}}
    """
    rig.apply(text.replace("MODE", "bridge"))
    rig.apply(text.replace("MODE", "passthru"))
    before = verdicts(rig.show()["one0"]).get("drop", 0)
    rig.send("02:00:00:00:99:99", 9000)
    rig.received()
    assert verdicts(rig.show()["one0"])["drop"] - before == 5
    assert not rig.plan(text.replace("MODE", "passthru")).changed


@pytest.mark.parametrize("how", ["bpf_link", "netlink"])
def test_a_foreign_program_is_named_and_stays(rig: Rig, how: str) -> None:
    """Which program, its id, and how it is attached; another topology of ours by its name."""
    code = Assembler()
    code.mov(R0, 2)
    code.exit()
    with program.load(code.assemble(), program.Flavour.XDP, "someone") as theirs:
        with rig.nic.entered():
            index = socket.if_nametoindex("eth0")
            flags = links.XDP_FLAGS_DRV_MODE
            if how == "netlink":
                with Rtnl() as rtnl:
                    rtnl.request(set_xdp(index, theirs.fd, flags), "attach")
            else:
                link = links.create(theirs.fd, index, links.Hook.XDP, flags)
        said = "by bpf_link" if how == "bpf_link" else "over netlink"
        named = rf"eth0 .*: someone \(id {theirs.info.id}\), .*{said}"
        with pytest.raises(ConflictError, match=named):
            rig.apply(TEXT)
        (eth0,) = rig.nic.json("link", "show", "eth0")
        assert eth0["xdp"]["prog"]["id"] == theirs.info.id
        if how == "bpf_link":
            link.close()


def test_another_topology_on_the_root_is_named(applied: Rig) -> None:
    other = TEXT.replace("name: edge", "name: other").replace("web0", "web1").replace("db0", "db1")
    other = other.replace("00:10", "00:20").replace("00:11", "00:21")
    with pytest.raises(ConflictError, match="of topology edge"):
        applied.apply(other)
