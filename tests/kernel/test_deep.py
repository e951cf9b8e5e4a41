"""VLANs between the root and devices: what a test run says of each level, natively and where one
has no room in the pipeline.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from xdpctl.datapath import bodies
from xdpctl.topology.load import load_texts
from xdpctl.topology.model import Case, Topology
from xdpctl.trace.journey import Journey
from xdpctl.trace.packets import frame
from xdpctl.trace.simulate import Simulation

pytestmark = pytest.mark.kernel

TEXT = (Path(__file__).parent / "deep.yaml").read_text()


def journeys(topology: Topology) -> list[tuple[Case, Journey]]:
    """Each test of the file with the way of its packet."""
    with Simulation(topology) as simulation:
        return [
            (case, simulation.journey(case.packet.root, frame(case.packet, simulation.scene),
                                      case.packet.to, case.packet.port))
            for case in topology.tests
        ]  # fmt: skip


def check(case: Case, journey: Journey) -> None:
    """What the test expects."""
    assert journey.verdict == case.expect["verdict"], case.name
    assert journey.at == case.expect["at"], case.name
    assert journey.hops[-1].rule == case.expect.get("rule", journey.hops[-1].rule), case.name


def test_each_level_decides_natively_in_its_turn() -> None:
    for case, journey in journeys(load_texts({"deep.yaml": TEXT})):
        check(case, journey)
        assert {hop.layer for hop in journey.hops} <= {"native", "dispatched"}, case.name


def test_vlans_that_have_no_room_are_policed_at_the_devices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bodies, "ROOM", 20)
    for case, journey in journeys(load_texts({"deep.yaml": TEXT})):
        check(case, journey)
        above = [hop for hop in journey.hops if hop.device != "eth0"]
        tagged = {"vlan7", "inner", "web0", "web2"}
        for hop in above:
            expected = "backstop" if hop.device in tagged else "dispatched"
            assert hop.layer == expected, case.name


def test_what_stands_on_a_third_tag_is_known() -> None:
    """It is found no further than the second VLAN, where its address must not be a stranger's."""
    text = """\
version: 1
name: three
devices:
  eth0: {kind: physical, xdp: {unknown: drop}}
  one: {kind: vlan, parent: eth0, id: 1, xdp: {policy: any}}
  two: {kind: vlan, parent: one, id: 2}
  three: {kind: vlan, parent: two, id: 3}
  web0: {kind: macvlan, parent: three, mode: bridge, address: "02:00:00:00:00:10",
         xdp: {policy: web}}
policies:
  any: {default: pass}
  web: {default: drop, rules: [{name: ok, match: {udp.dport: 53}, action: pass}]}
tests:
  - {name: known, packet: {to: web0, udp: {dport: 53}}, expect: {verdict: pass, at: web0, rule: ok}}
  - {name: policed, packet: {to: web0, udp: {dport: 5}}, expect: {verdict: drop, at: web0}}
"""
    for case, journey in journeys(load_texts({"three.yaml": text})):
        check(case, journey)
