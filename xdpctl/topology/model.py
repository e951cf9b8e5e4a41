"""A topology as everything downstream sees it: checked, expanded, canonical, immutable.

`load` makes one from files. Ranges are expanded, names of values resolved to the kernel's
numbers or canonical spelling, derived addresses filled in. No netlink and no BPF in here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from xdpctl.record import record

Value = int | str | bool | tuple["Value", ...]
"""A canonical property value: an int, an iproute2 keyword, a flag, or a tuple of such."""

Verdict = Literal["pass", "drop"]
Outcome = Literal["pass", "drop", "tx", "redirect"]
"""What becomes of a frame; `userspace` is a redirect, too."""
Action = Literal["pass", "drop", "tx", "redirect", "userspace", "limit", "policy", "count", "log"]
"""`count` and `log` go on to the next rule, `policy` goes on in another policy."""
SetType = Literal["ip4", "ip6", "ether", "port", "composite"]
XdpMode = Literal["auto", "native", "generic"]
Flood = Literal["enforce", "pass", "drop"]
Deliver = Literal["redirect"]


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A place in a topology file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@record
class Interval:
    """An inclusive interval of unsigned integers, `low` ≤ `high`; a single value has both equal.

    Ports, protocol numbers and types are plain numbers. IPv4 and IPv6 addresses are the
    big-endian number of the address, so a CIDR prefix is the interval of its addresses.
    """

    low: int
    high: int

    def __contains__(self, number: int) -> bool:
        return self.low <= number <= self.high


@dataclass(frozen=True, slots=True, order=True)
class Masked:
    """The numbers whose bits under `mask` are those of `value`, which has no other bits."""

    value: int
    mask: int

    def __contains__(self, number: int) -> bool:
        return number & self.mask == self.value


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Set:
    """A named set of values, which changes without its policies being compiled anew.

    keys      the match keys whose values an entry has, where it is composite; else empty
    bits      the width of each value; an entry's number has the first in its highest bits
    exact     the entries that are one number
    prefixes  prefix length (of all bits) → entries of such a length, their other bits zero. Of a
              composite set only the last value may be a prefix: the loader brings it there
    """

    name: str
    type: SetType
    keys: tuple[str, ...]
    bits: tuple[int, ...]
    exact: frozenset[int]
    prefixes: Mapping[int, frozenset[int]]
    location: Location

    @property
    def width(self) -> int:
        """Bits of an entry."""
        return sum(self.bits)

    def __repr__(self) -> str:
        return f"Set({self.name!r}, {self.type}, {len(self)} entries)"

    def __len__(self) -> int:
        return len(self.exact) + sum(map(len, self.prefixes.values()))

    def __contains__(self, number: int) -> bool:
        return number in self.exact or any(
            number >> self.width - length << self.width - length in entries
            for length, entries in self.prefixes.items()
        )


COMPOSITE = "set"
"""The key of a condition on a composite set."""


@record
class Condition:
    """One key of one rule. It holds where the key's protocol is present and the value is in one
    of `intervals`, `masks` or `sets` (in none of them, if `negated`). Intervals are sorted,
    disjoint, merged; masks are sorted, and none is an interval.

    key      a match key; COMPOSITE: all keys of the one composite set in `sets`
    devices  of `meta.port`: the names whose ifindexes are values, too
    """

    key: str
    intervals: tuple[Interval, ...]
    negated: bool = False
    masks: tuple[Masked, ...] = ()
    sets: tuple[Set, ...] = ()
    devices: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The match keys that it reads."""
        return self.sets[0].keys if self.key == COMPOSITE else (self.key,)

    def __contains__(self, number: int) -> bool:
        """Whether the number is among the values, negated or not."""
        return any(
            number in one for some in (self.intervals, self.masks, self.sets) for one in some
        )


@record
class Rate:
    """So many packets or bytes in a time of `period` nanoseconds, `burst` of them at once."""

    unit: Literal["packets", "bytes"]
    amount: int
    period: int
    burst: int


@record
class Rule:
    """One rule. `name` is the user's, or the rule's number from 1 as text. All conditions hold.

    target  redirect: the device; userspace: what the sockets' map is called
    rate    limit: what passes; the rest is dropped
    into    policy: the one that decides instead of the rules that follow
    """

    name: str
    conditions: tuple[Condition, ...]
    action: Action
    location: Location
    target: str = ""
    rate: Rate | None = None
    into: Policy | None = field(default=None, compare=False, repr=False)


@record
class UserProgram:
    """A user's own programs in an ELF object.

    path     the object file; `digest` is the SHA-256 of what is in it
    program  the function that the pipeline calls
    tc       the one for frames that do not come from the wire; "" if the object has none
    maps     (name, where it is pinned) of maps that live longer than the pipeline
    """

    path: str
    digest: str
    program: str
    tc: str = ""
    maps: tuple[tuple[str, str], ...] = ()


@record
class Policy:
    """An ordered list of rules, of which the first that matches decides; or a user's program,
    whose `default` is for the frames that it cannot be shown.
    """

    name: str
    default: Verdict
    rules: tuple[Rule, ...]
    location: Location
    object: UserProgram | None = None


@record
class Xdp:
    """A device's `xdp:` section. `mode` and `unknown` mean something on a root only.

    egress  the policy for what comes from a device that frames are delivered to
    """

    policy: str | None = None
    enabled: bool = True
    mode: XdpMode = "auto"
    unknown: Verdict = "pass"
    flood: Flood = "enforce"
    egress: str | None = None


@record
class Device:
    """One device of the topology, a range already expanded.

    name        what it is called in the kernel (IFNAMSIZ: at most 15 bytes)
    kind        "physical" or the kernel's rtnl_link_ops name
    parent      the lower device (IFLA_LINK) for kinds that have one; where frames are delivered to
                the device: the root whose frames they are
    ports       bond, bridge: the devices enslaved to it (IFLA_MASTER), in the file's order
    portless    `ports: []`: it shall have none. Where `ports` is left out, nothing is said of them
    properties  canonical values by iproute2's name; only what the file names (or what is derived:
                `address` of a macvlan or macvtap). `state`, `mtu` and `address` are among them.
    port_properties  for each port its own properties (bond: queue_id, prio)
    match       physical: how to find it other than by name (mac, driver, path)
    netns       the network namespace that it lives in ("": that of the topology)
    derived     `address` is not the file's: it is what the device is born with
    deliver     veth, tap: how it gets the frames of its parent, on which it does not stand
    behind      then: the MAC address of whoever is behind it, a veth's other end or what opens a
                tap; the device's own is in no frame
    """

    name: str
    kind: str
    location: Location
    parent: str | None = None
    ports: tuple[str, ...] = ()
    portless: bool = False
    properties: Mapping[str, Value] = field(default_factory=dict)
    port_properties: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    match: Mapping[str, str] = field(default_factory=dict)
    xdp: Xdp | None = None
    netns: str = ""
    derived: bool = False
    deliver: Deliver | None = None
    behind: str = ""

    @property
    def stands_on(self) -> str | None:
        """The device that the kernel has it on."""
        return None if self.deliver else self.parent


@record
class Tag:
    """A VLAN tag of a packet: its TPID (`protocol`), VLAN and priority."""

    id: int
    pcp: int = 0
    protocol: int = 0x8100


@record
class Packet:
    """What a test sends: a whole frame, or fields by layer to make one from.

    root     the device that it comes in by
    port     the port of it, where it is a bond or bridge ("": the first)
    to       the device it is for (None: it is for the root, or the frame's bytes say)
    frame    None: it is to be made from the rest (or a capture that nobody asked to read)
    layers   fields that the user named, by layer and by their match key's last word
    tags     outermost first; None: those that the way to `to` needs
    length   bytes of the whole frame: a longer one is cut, a shorter one filled up with zeros
    """

    root: str
    to: str | None = None
    port: str = ""
    frame: bytes | None = None
    layers: Mapping[str, Mapping[str, int | str]] = field(default_factory=dict)
    tags: tuple[Tag, ...] | None = None
    payload: bytes = b""
    length: int | None = None


@record
class Case:
    """One of the file's tests: a packet, and what must become of it.

    `expect` holds what the user named of verdict, at, rule (text: a number is one from 1), redirect
    (a device, or the name that `userspace` has) and bytes (hexadecimal: the frame as it comes out).
    """

    name: str
    packet: Packet
    expect: Mapping[str, str]
    location: Location


@record
class Topology:
    """Everything the file(s) say. `devices` are in an order in which lower comes before upper.

    sources  each file's name, as the user gave it, and its text (line information in programs,
             saved plans)
    files    other files that they name (sets, objects), and the SHA-256 of what is in them
    """

    name: str
    devices: Mapping[str, Device]
    policies: Mapping[str, Policy]
    sources: Mapping[str, str]
    tests: tuple[Case, ...] = ()
    sets: Mapping[str, Set] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
