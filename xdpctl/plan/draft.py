"""What all makers of steps share: the survey, the changes of ports, and the steps so far."""

from __future__ import annotations

from xdpctl.host.state import Link
from xdpctl.plan import stacking
from xdpctl.plan.claims import claims
from xdpctl.plan.link_operations import ChangeLink
from xdpctl.plan.membership import membership
from xdpctl.plan.operation import Difference
from xdpctl.plan.steps import Key, Steps
from xdpctl.plan.survey import Survey
from xdpctl.topology.model import Value


class Draft:
    """The steps of one plan while they are being made."""

    def __init__(self, survey: Survey) -> None:
        self.survey = survey
        self.members = membership(survey)
        self.claims = claims(survey)
        self.result = Steps()
        self.deleted_by: dict[str, Key] = {}

    def entering(self) -> dict[str, str]:
        """The devices that become ports, and whose."""
        return {entry.port: entry.master for entry in self.members.entries.values()}

    def gone(self, name: str) -> Key:
        """The key of the step that deletes the link."""
        return self.deleted_by.get(name, ("delete", name))

    def carrier(self, link: Link) -> str:
        """The link whose deletion deletes this one: itself, or the other end of a veth."""
        peer = stacking.peer_of(self.survey.host, link)
        if peer is not None and peer.ifindex in self.survey.dead and peer.ifindex < link.ifindex:
            return peer.name
        return link.name

    def last(self, key: Key, name: str) -> Difference | None:
        """What a step does to a property."""
        step = self.result.steps.get(key)
        if step is None or not isinstance(step.operation, ChangeLink):
            return None
        return step.operation.changes.get(name)

    def ports_in(self, master: str) -> list[Key]:
        """The steps after which a master has its ports."""
        entries, exits = self.members.entries, self.members.exits
        found: list[Key] = [
            ("enslave", one.port) for one in entries.values() if one.master == master
        ]
        found += [("release", one.link.name) for one in exits.values() if one.master.name == master]
        return found


def number(value: Value | None) -> int:
    """An MTU as a number; what is not known is the largest there is."""
    return value if isinstance(value, int) else 0xFFFF_FFFF
