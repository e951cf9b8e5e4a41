"""`meta.port`: which frames come from the wire, and by which port; a sibling's come by none."""

from __future__ import annotations

import pytest

from tests.kernel.rig import BROADCAST, DB, MULTICAST, WEB, Rig, raw_socket, rules
from tests.kernel.test_actions import counted, frame, more, simulated
from xdpctl.datapath import bodies
from xdpctl.errors import UnsupportedError

pytestmark = pytest.mark.kernel

FAR = "02:00:00:00:00:20"
TEXT = f"""\
version: 1
name: edge
devices:
  eth0: {{kind: physical, xdp: {{mode: MODE}}}}
  web0: {{kind: macvlan, parent: eth0, mode: bridge, address: "{WEB}", state: up,
         xdp: {{policy: web}}}}
  db0: {{kind: macvlan, parent: eth0, mode: bridge, address: "{DB}", state: up}}
policies:
  web:
    default: drop
    rules:
      - {{name: wire, match: {{udp.dport: 9000, meta.port: eth0}}, action: pass}}
      - {{name: inside, match: {{udp.dport: 9001, meta.port: none}}, action: pass}}
      - {{name: elsewhere, match: {{udp.dport: 9002, meta.port: "!eth0"}}, action: pass}}
      - {{name: any, match: {{udp.dport: 9003, meta.port: "!none"}}, action: pass}}
"""
PORTS = (9000, 9001, 9002, 9003)
WIRE = {"wire", "any"}
"""What holds of a frame from the wire; `!eth0` holds nowhere: there is no other port."""


def listening(rig: Rig, text: str) -> Rig:
    rig.apply(text)
    rig.listen("web0", PORTS)
    rig.listen("db0", ())
    return rig


def held(rig: Rig, by: str, to: str) -> set[str]:
    """The rules that frames so sent met; as many arrive as met one."""
    before = rules(rig.show()["web0"])
    for port in PORTS:
        rig.send(to, port, by=by, for_="web0", count=3)
    got = rig.received()
    met = more(rules(rig.show()["web0"]), before)
    assert sum(got.values()) == 12 - met.pop("default", 0)
    return set(met)


@pytest.mark.parametrize("room", [None, 8], ids=["one program", "parts"])
@pytest.mark.parametrize(
    ("by", "to", "expected"),
    [
        ("wire", WEB, WIRE),
        ("wire", BROADCAST, WIRE),
        ("wire", MULTICAST, WIRE),
        ("db0", WEB, {"inside"}),
        ("db0", BROADCAST, {"inside"}),
    ],
)
def test_the_wires_frames_have_it_and_a_siblings_have_none(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, by: str, to: str, expected: set[str],
    room: int | None,
) -> None:  # fmt: skip
    if room:
        monkeypatch.setattr(bodies, "ROOM", room)
    text = (
        TEXT.replace("MODE", "native")
        .replace("up}", "up, xdp: {policy: db}}")
        .replace("policies:", "policies:\n  db: {rules: [{match: {udp.dport: 1}, action: drop}]}")
    )
    listening(rig, text)
    assert held(rig, by, to) == expected


def test_each_root_is_its_own_port(rig: Rig) -> None:
    rig.nic.ip(
        "link", "add", "eth1", "type", "veth", "peer", "name", "wire1", "netns", rig.wire.name
    )
    rig.nic.ip("link", "set", "eth1", "up")
    rig.wire.ip("link", "set", "wire1", "up")
    with rig.wire.entered():
        rig.senders["wire1"] = raw_socket("wire1")
    text = (
        TEXT.replace("MODE", "auto")
        .replace(
            "policies:",
            f'  far0: {{kind: macvlan, parent: eth1, address: "{FAR}", state: up, '
            "xdp: {policy: web}}\npolicies:",
        )
        .replace("  eth0:", "  eth1: {kind: physical}\n  eth0:")
    )
    listening(rig, text)
    rig.listen("far0", PORTS)
    for port in PORTS:
        rig.send(FAR, port, by="wire1", for_="far0", count=2)
        rig.send(WEB, port, for_="web0", count=3)
    assert rig.received() == {
        ("far0", 9002): 2, ("far0", 9003): 2, ("web0", 9000): 3, ("web0", 9003): 3,
    }  # fmt: skip


def test_a_test_says_the_same(rig: Rig) -> None:
    text = TEXT.replace("MODE", "auto")
    for port, verdict in zip(PORTS, ("pass", "drop", "drop", "pass"), strict=True):
        for to in (WEB, BROADCAST):
            assert simulated(text, frame(to, port))["verdict"] == verdict, (port, to)


# --- a generic root


@pytest.mark.parametrize("where", ["itself", "another policy"])
def test_a_devices_policy_cannot_know_it_above_a_generic_root(rig: Rig, where: str) -> None:
    text = TEXT.replace("MODE", "generic")
    if where == "another policy":
        text = text.replace("  web:\n", "  way: {rules: [{action: {policy: web}}]}\n  web:\n")
        text = text.replace("{policy: web}}\n  db0", "{policy: way}}\n  db0")
    with pytest.raises(UnsupportedError, match="no policy of web0 can know the port") as told:
        rig.plan(text)
    assert str(told.value).startswith("topo.yaml:")
    assert "eth0 has generic XDP" in str(told.value)
    assert told.value.hint is None  # eth0's own policy cannot tell a bond's ports either


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_the_roots_own_policy_always_knows_it(rig: Rig, mode: str) -> None:
    text = TEXT.replace(",\n         xdp: {policy: web}", "").replace(
        "{mode: MODE}", f"{{mode: {mode}, policy: web}}"
    )
    rig.apply(text)
    rig.listen("web0", PORTS)
    before = counted(rig, "eth0")
    for port in PORTS:
        rig.send(WEB, port, for_="web0", count=3)
    assert rig.received() == {("web0", 9000): 3, ("web0", 9003): 3}
    assert more(counted(rig, "eth0"), before) == {"pass": 6, "drop": 6}
