"""The examples, a change of each, and what all of them go through."""

from __future__ import annotations

from pathlib import Path

from tests.kernel.conftest import Netns
from tests.kernel.rig import pins
from xdpctl.apply import run
from xdpctl.topology.load import load, load_texts
from xdpctl.topology.model import Topology

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))

CHANGES = {
    "switch": ("  vm0:", "  vm9:"),
    "bond": ("app[01-08]:", "app[02-09]:"),
    "bridge": ("admin0:", "more0:"),
    "four-policies": ("mon0:", "more0:"),
    "smallest": ("web0:", "more0:"),
    "tenants": ("tenant[1-1000]:", "tenant[2-1001]:"),
    "vlans": ("office0:", "more0:"),
    "vms": ("vm[1-4]:", "vm[2-5]:"),
}
"""What is written instead of what: a device more and a device less."""

RULE = "    rules:\n      - {name: no telnet, match: {tcp.dport: telnet}, action: drop}"


def physical(topology: Topology) -> list[str]:
    """The NICs that an example asks for."""
    return [device.name for device in topology.devices.values() if device.kind == "physical"]


def changed(path: Path) -> Topology:
    """The example with its change and a rule more, without its tests, which may be about either."""
    text = path.read_text("utf-8").partition("\ntests:")[0] + "\n"
    for before, after in (CHANGES[path.stem], ("    rules:", RULE)):
        assert before in text, f"{path.name}: no {before}"
        text = text.replace(before, after, 1)
    return load_texts({path.name: text})


def comes_changes_and_goes(path: Path, netns: Netns) -> None:
    """Applied, planned empty, changed, planned empty, destroyed; nothing is left."""
    topology, other = load([str(path)]), changed(path)
    before = numbers(netns)
    with netns.entered():
        assert run.apply(topology).applied
        assert not run.plan(topology)[0].changed
        there = numbers(netns)
        assert there.keys() >= topology.devices.keys()
        done = run.apply(other).plan
        assert (done.summary["create"], done.summary["delete"], done.summary["replace"]) == (
            1,
            1,
            0,
        )
        assert any(
            key.startswith("policy ") for action in done.actions for key in action.changes
        ), "a rule more"
        assert not run.plan(other)[0].changed
        here = numbers(netns)
        kept = topology.devices.keys() & other.devices.keys()
        assert {name: here[name] for name in kept} == {name: there[name] for name in kept}
        run.destroy(topology.name)
    assert numbers(netns) == before
    assert pins(netns) == []


def numbers(netns: Netns) -> dict[str, int]:
    """The ifindex of each device: another one tells that it was made anew."""
    return {link["ifname"]: link["ifindex"] for link in netns.json("link")}
