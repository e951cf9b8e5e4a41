"""The tests of a topology file: what was expected beside what the simulation says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from xdpctl.record import record
from xdpctl.topology.model import Case, Topology
from xdpctl.trace.journey import Journey
from xdpctl.trace.packets import frame
from xdpctl.trace.simulate import Simulation


@record
class Difference:
    """One thing that is not as expected; `got` is None where no rule decided."""

    key: str
    expected: str
    got: str | None


@record
class Result:
    """A test that has run."""

    case: Case
    journey: Journey
    differences: tuple[Difference, ...]

    @property
    def passed(self) -> bool:
        """Whether all is as expected."""
        return not self.differences


def run(topology: Topology) -> Iterator[Result]:
    """Run the tests one after another, in the file's order."""
    with Simulation(topology) as simulation:
        for case in topology.tests:
            packet = case.packet
            sent = frame(packet, simulation.scene)
            towards = packet.to or case.expect.get("at")
            journey = simulation.journey(packet.root, sent, towards, packet.port)
            yield Result(case, journey, tuple(_differences(case.expect, journey)))


def got(journey: Journey) -> dict[str, str | None]:
    """What a test may expect, as it came."""
    last = journey.hops[-1] if journey.hops else None
    found = {"verdict": journey.verdict, "at": journey.at, "rule": last.rule if last else None}
    target = {"redirect": last.target} if last is not None and last.target else {}
    return found | target


def _differences(expect: Mapping[str, str], journey: Journey) -> Iterator[Difference]:
    found = got(journey) | {"bytes": journey.frame.hex()}
    for key, wanted in expect.items():
        if not (_is_rule(wanted, journey) if key == "rule" else wanted == found.get(key)):
            yield Difference(key, wanted, found.get(key))


def _is_rule(wanted: str, journey: Journey) -> bool:
    """A rule by name or number; a malformed packet gets the default as well."""
    if not journey.hops:
        return False
    last = journey.hops[-1]
    names = {last.rule} if last.number is None else {last.rule, str(last.number)}
    return wanted in names | ({"default"} if last.rule == "malformed" else set())
