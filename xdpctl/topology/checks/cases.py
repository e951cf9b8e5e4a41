"""What tests say of devices and rules must be so; their packets must be such as can be made."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from xdpctl.topology import capture, packet
from xdpctl.topology.cases import CaseDraft
from xdpctl.topology.checks.stack import MACVLANS, Stack
from xdpctl.topology.closure import closure
from xdpctl.topology.draft import Entry
from xdpctl.topology.leaf import guess
from xdpctl.topology.model import Case, Packet
from xdpctl.topology.packet import L3, L4
from xdpctl.topology.read import Book
from xdpctl.topology.shape import problem
from xdpctl.topology.source import STDIN

REACHED = (*MACVLANS, "vlan")
"""Kinds of stacked devices whose frames are the root's own, or those less a tag."""

DECIDERS = ("default", "malformed", "flood", "unknown")
"""What decides where no rule does."""

PROGRAM_VERDICTS = ("pass", "drop", "tx", "redirect", "aborted")
"""What stands for the rules of a user's program."""

_OVER = {"icmp": ("ip4",), "icmpv6": ("ip6",)}
_TYPES = {"arp": L3["arp"], "ip4": L3["ip4"], "ip6": L3["ip6"]}


def resolved(entries: dict[str, Entry], book: Book, *, captures: bool) -> tuple[Case, ...]:
    """The tests of the files; what is wrong with one is added to the book's problems."""
    if not book.cases:
        return ()
    check = _Check(entries, book, captures=captures)
    found = [check.case(draft) for draft in book.cases]
    return tuple(case for case in found if case is not None)


class _Check:
    """Makes a case of a draft; gathers what is wrong."""

    def __init__(self, entries: dict[str, Entry], book: Book, *, captures: bool) -> None:
        self._entries = entries
        self._stack = Stack(entries, book)
        self._book = book
        self._captures = captures
        self._read: Callable[[str], list[bytes]] = cache(capture.read)
        self._bottoms: dict[str, str] = {}

    def case(self, draft: CaseDraft) -> Case | None:
        """The test; None if it cannot be run."""
        before = len(self._book.problems)
        for key in ("to", "in"):
            self._known(draft, "packet", key, draft.packet.get(key))
        self._known(draft, "expect", "at", draft.expect.get("at"))
        if not draft.expect:
            self._problem(draft, "expect", message="expect names nothing: verdict, at or rule")
        self._form(draft)
        if len(self._book.problems) > before or not self._stack.complete or self._book.broken:
            return None  # what stands on what may not be known
        root = self._root(draft)
        self._rule(draft)
        if root is None or len(self._book.problems) > before:
            return None
        frame = draft.packet.get("hex") or self._captured(draft)
        to = draft.packet.get("to")
        if to in self._stack.masters:
            to = None  # what comes in by a port is its master's
        sent = _packet(draft, root, to, self._port(draft, root), frame)
        return Case(draft.name, sent, _expect(draft), draft.at())

    def _port(self, draft: CaseDraft, root: str) -> str:
        """The port that was named, or the first of a root that has some."""
        given = draft.packet.get("in")
        ports = self._entries[root].device.ports
        return given if given in ports else ports[0] if ports else ""

    def _problem(self, draft: CaseDraft, *path: str, message: str) -> None:
        self._book.problems.append(problem(draft.at(*path), message))

    def _known(self, draft: CaseDraft, section: str, key: str, name: str | None) -> None:
        if name is not None and not self._stack.known(name):
            hint = self._stack.hint(name, [*self._entries, *self._book.broken])
            self._problem(draft, section, key, message=f"{key}: unknown device {name!r}{hint}")

    # --- where it comes in

    def _root(self, draft: CaseDraft) -> str | None:
        """The root that the packet comes in by."""
        to, given = draft.packet.get("to"), draft.packet.get("in")
        below = self._bottom(to) if to is not None else None
        if to is not None and not self._reached(draft, to):
            return None
        if given is not None:
            return self._way_in(draft, given, below)
        roots = sorted({self._bottom(name) for name in self._entries})
        if below is None and len(roots) != 1:
            several = f"there are several roots ({', '.join(roots[:8])})"
            message = f"in is missing: {several if roots else 'there is no device'}"
            self._problem(draft, "packet", message=message)
            return None
        return below or roots[0]

    def _way_in(self, draft: CaseDraft, given: str, below: str | None) -> str | None:
        root = self._bottom(given)
        if self._entries[given].device.parent is not None:
            message = f"in: {given} stands on {root}, by which its packets come in"
        elif below is not None and below != root:
            message = f"in: {draft.packet['to']} does not stand on {given} (but on {below})"
        else:
            return root
        self._problem(draft, "packet", "in", message=message)
        return None

    def _bottom(self, name: str) -> str:
        """The root below a device; of a port, its master's."""
        way = [name]
        while way[-1] not in self._bottoms:
            device = self._entries[way[-1]].device
            masters = self._stack.masters.get(way[-1])
            lower = device.parent or (masters[0].device.name if masters else None)
            if lower is None or lower not in self._entries or lower in way:
                self._bottoms[way[-1]] = way[-1]
            else:
                way.append(lower)
        self._bottoms |= dict.fromkeys(way, self._bottoms[way[-1]])
        return self._bottoms[name]

    def _reached(self, draft: CaseDraft, to: str) -> bool:
        """Whether frames for the device are of the root's own."""
        name: str | None = to
        while name is not None and name in self._entries:
            device = self._entries[name].device
            if device.stands_on is not None and device.kind not in REACHED:
                which = "" if name == to else f"{name} below it is "
                message = f"to: {to}: {which}a {device.kind}, to which no packet can be written"
                self._problem(draft, "packet", "to", message=message)
                return False
            name = device.parent
        return True

    # --- what it is made from

    def _form(self, draft: CaseDraft) -> None:
        """Either bytes, or a capture, or fields that go together."""
        sent = draft.packet
        whole = next((key for key in ("hex", "pcap") if key in sent), None)
        if whole is None:
            if "index" in sent:
                message = "index is the number of a frame of a pcap, and there is none"
                self._problem(draft, "packet", "index", message=message)
            self._layers(draft)
            return
        allowed = {whole, "to", "in", *(["index"] if whole == "pcap" else [])}
        for key in sent:
            if key not in allowed:
                message = f"{key} beside {whole}, which is a whole frame"
                self._problem(draft, "packet", key, message=message)

    def _layers(self, draft: CaseDraft) -> None:
        sent = draft.packet
        networks = [layer for layer in packet.NETWORK if layer in sent]
        transports = [layer for layer in packet.TRANSPORT if layer in sent]
        for several in (networks, transports):
            if len(several) > 1:
                message = f"no frame has both {several[0]} and {several[1]}"
                self._problem(draft, "packet", several[1], message=message)
        if not networks and not transports:
            return
        upper = transports[0] if transports else None
        lower = networks[0] if networks else "ip6" if upper == "icmpv6" else "ip4"
        if upper is not None and lower not in _OVER.get(upper, ("ip4", "ip6")):
            message = f"no frame has both {lower} and {upper}"
            self._problem(draft, "packet", upper, message=message)
        self._numbers(draft, lower, upper)

    def _numbers(self, draft: CaseDraft, lower: str, upper: str | None) -> None:
        """Types and protocols that are named must be those of the layers above them."""
        wanted = _TYPES[lower]
        if draft.packet.get("ether", {}).get("type", wanted) != wanted:
            message = f"type is not that of {lower}, which the packet has"
            self._problem(draft, "packet", "ether", "type", message=message)
        key = {"ip4": "proto", "ip6": "nexthdr"}.get(lower, "")
        if upper is not None and draft.packet.get(lower, {}).get(key, L4[upper]) != L4[upper]:
            message = f"{key} is not that of {upper}, which the packet has"
            self._problem(draft, "packet", lower, key, message=message)

    def _captured(self, draft: CaseDraft) -> bytes | None:
        """The frame of a capture, whose name is relative to that of the file."""
        name: str | None = draft.packet.get("pcap")
        index: int = draft.packet.get("index", 0)
        if name is None or not self._captures:
            return None
        folder = "" if draft.file == STDIN else os.path.dirname(draft.file)
        key, message = "pcap", ""
        try:
            frames = self._read(os.path.join(folder, name))
        except ValueError as error:
            message = f"pcap {name} {error}"
        else:
            if index >= len(frames):
                count = f"{len(frames)} frame{'s' * (len(frames) != 1)}"
                key = "index" if "index" in draft.packet else "pcap"
                message = f"index {index}: {name} has {count}, numbered from 0"
            elif not packet.SHORTEST <= len(frames[index]) <= packet.LONGEST:
                limits = f"{packet.SHORTEST}-{packet.LONGEST}"
                message = f"frame {index} of {name} has {len(frames[index])} bytes, not {limits}"
        if message:
            self._problem(draft, "packet", key, message=message)
            return None
        return frames[index]

    # --- what is expected

    def _rule(self, draft: CaseDraft) -> None:
        """The rule must be one of the policy that is to decide, where that is known."""
        name, at = draft.expect.get("rule"), draft.expect.get("at")
        if name is None or at not in self._entries or name == "unknown":
            return
        xdp = self._entries[at].device.xdp
        if xdp is not None and xdp.policy is None and xdp.flood == "drop" and name in DECIDERS:
            return
        if xdp is None or xdp.policy is None:
            self._problem(draft, "expect", "rule", message=f"rule: {at} has no policy")
            return
        policy = self._book.policies.get(xdp.policy)
        if policy is None or name in DECIDERS:
            return
        names = [rule.name for one in closure(policy) for rule in one.rules]
        names += PROGRAM_VERDICTS if policy.object is not None else ()
        numbers = [str(number) for number in range(1, len(names) + 1)]
        if name not in names and name not in numbers:
            hint = guess(name, (*names, "default"))
            message = f"rule: policy {policy.name} of {at} has no rule {name!r}{hint}"
            self._problem(draft, "expect", "rule", message=message)


def _packet(draft: CaseDraft, root: str, to: str | None, port: str, frame: bytes | None) -> Packet:
    sent = draft.packet
    layers: dict[str, Mapping[str, Any]] = {
        layer: sent[layer] for layer in packet.LAYERS if layer in sent
    }
    return Packet(
        root=root,
        to=to,
        port=port,
        frame=frame,
        layers=layers,
        tags=sent.get("vlan"),
        payload=sent.get("payload", b""),
        length=sent.get("length"),
    )


def _expect(draft: CaseDraft) -> dict[str, str]:
    return {
        key: value.hex() if isinstance(value, bytes) else value
        for key, value in draft.expect.items()
    }
