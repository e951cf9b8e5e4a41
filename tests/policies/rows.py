"""For each way to write a value: what is inside, outside and at the edges."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from xdpctl.topology.keys import KEYS
from xdpctl.topology.model import Condition, Location, Set, SetType
from xdpctl.topology.set_types import FORMS, MEMBERS, Budget, Plain, read

Number = int | str
"""A value of a field; addresses as text."""


@dataclass(frozen=True)
class Row:
    """One way to write a value; `edges` are the numbers next to a border and whether they match."""

    operator: str
    raw: tuple[Number, ...]
    inside: tuple[Number, ...]
    outside: tuple[Number, ...]
    edges: dict[Number, bool]

    def condition(self, key: str, *, negated: bool) -> Condition:
        if self.operator.startswith("set"):
            return KEYS[key].condition((), negated=negated, sets=[self._set(key)])
        spans = [span for raw in self.raw for span in KEYS[key].parse(raw)]
        return KEYS[key].condition(spans, negated=negated)

    def _set(self, key: str) -> Set:
        kind = next(kind for kind, members in MEMBERS.items() if key in members)
        return named_set("rows", kind, self.raw)

    def as_set(self) -> Row:
        """The same values as the entries of a set."""
        return replace(self, operator="set")


def named_set(name: str, kind: SetType, values: Iterable[object]) -> Set:
    """A plain set with these entries."""
    here, form = Location("t.yaml", 1, 1), FORMS[kind]
    entries = Plain(form, Budget())
    for value in values:
        entries.add(read(entries.names, entries.forms, [str(value)]), here)
    prefixes = {length: frozenset(some) for length, some in entries.prefixes.items()}
    return Set(name, kind, (), (form.bits,), frozenset(entries.exact), prefixes, here)


def with_sets(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """The rows, and what can be an entry of a set as one: of every kind of map that it may be."""
    listed = [row for row in rows if row.operator not in ("mask", "name")]
    return (*rows, *(row.as_set() for row in listed if _fits(row)))


def _fits(row: Row) -> bool:
    return not any("00:00:00:00:00:ff" in str(raw) for raw in row.raw)


PORT = (
    Row("value", (443,), (443,), (80, 51000), {442: False, 443: True, 444: False}),
    Row("value", (0,), (0,), (80, 32768), {0: True, 1: False, 65535: False}),
    Row("value", ("65535",), (65535,), (80,), {65534: False, 65535: True, 0: False}),
    Row("range", ("8000-8100",), (8050,), (80, 60000),
        {7999: False, 8000: True, 8100: True, 8101: False}),
    Row("range", ("0-1023",), (80,), (51000,), {0: True, 1023: True, 1024: False, 65535: False}),
    Row("range", ("32768-65535",), (51000,), (80,), {32767: False, 32768: True, 65535: True}),
    Row("range", ("7-7",), (7,), (80,), {6: False, 7: True, 8: False}),
    Row("list", (80, 443, "8000-8100"), (80, 443, 8050), (81, 9000),
        {79: False, 7999: False, 8000: True, 8100: True, 8101: False}),
    Row("list", tuple(range(2, 120, 3)), (2, 62, 119 - 3), (3, 64, 200),
        {1: False, 2: True, 116: True, 117: False}),
    Row("list", tuple(range(0, 65536, 1024)), (0, 32768, 64512), (1, 32769, 64511),
        {0: True, 1023: False, 1024: True, 64512: True, 64513: False, 65535: False}),
    Row("name", ("https",), (443,), (80,), {442: False, 443: True, 444: False}),
)  # fmt: skip

BYTE = (
    Row("value", (3,), (3,), (8, 200), {2: False, 3: True, 4: False}),
    Row("value", (0,), (0,), (8, 128), {0: True, 1: False, 255: False}),
    Row("value", (255,), (255,), (8,), {254: False, 255: True, 0: False}),
    Row("range", ("3-12",), (8,), (128,), {2: False, 3: True, 12: True, 13: False}),
    Row("range", ("128-255",), (200,), (3,), {127: False, 128: True, 255: True}),
    Row("list", (0, 3, "8-12"), (0, 3, 9), (5, 200), {2: False, 4: False, 8: True, 13: False}),
    Row("list", tuple(range(1, 64, 4)), (1, 33), (2, 64), {0: False, 1: True, 61: True, 62: False}),
)


def named(name: str, number: int) -> Row:
    """A row for a name of an 8-bit field."""
    return Row("name", (name,), (number,), ((number + 100) % 256,),
               {number: True, number + 1: False})  # fmt: skip


PROTOCOL = (
    Row("value", (6,), (6,), (17, 47), {5: False, 6: True, 7: False}),
    Row("value", (0,), (0,), (17,), {0: True, 1: False, 255: False}),
    Row("value", (255,), (255,), (17,), {254: False, 255: True}),
    Row("range", ("6-17",), (6, 17), (1, 132), {5: False, 6: True, 17: True, 18: False}),
    Row("range", ("1-255",), (6, 200), (0,), {0: False, 1: True, 255: True}),
    Row("list", (1, 6, 17), (1, 6, 17), (0, 58, 132), {2: False, 5: False, 18: False, 17: True}),
    named("tcp", 6),
    named("esp", 50),
)

ETHER = (
    Row("value", ("0x88cc",), (0x88CC,), (0x0800,), {0x88CB: False, 0x88CC: True, 0x88CD: False}),
    Row("value", (0,), (0,), (0x0800,), {0: True, 1: False, 0xFFFF: False}),
    Row("value", ("0xffff",), (0xFFFF,), (0x0800,), {0xFFFE: False, 0xFFFF: True}),
    Row("range", ("0x0600-0xffff",), (0x0800, 0x86DD), (0x05DC,),
        {0x05FF: False, 0x0600: True, 0xFFFF: True}),
    Row("list", ("ip4", "arp"), (0x0800, 0x0806), (0x86DD,), {0x0801: False, 0x0806: True}),
    Row("name", ("arp",), (0x0806,), (0x0800,), {0x0805: False, 0x0806: True, 0x0807: False}),
)  # fmt: skip

NETWORK = (
    Row("name", ("ip4",), (0x0800,), (0x86DD, 0x0806), {0x07FF: False, 0x0800: True}),
    Row("name", ("ip6",), (0x86DD,), (0x0800, 0x0806), {0x86DD: True, 0x86DE: False}),
    Row("name", ("arp",), (0x0806,), (0x0800, 0x86DD), {0x0806: True, 0x0807: False}),
    Row("list", ("ip4", "ip6"), (0x0800, 0x86DD), (0x0806,), {0x0801: False, 0x86DD: True}),
)

ADDRESS4 = (
    Row("value", ("192.0.2.7",), ("192.0.2.7",), ("10.0.0.1",),
        {"192.0.2.6": False, "192.0.2.7": True, "192.0.2.8": False, "7.2.0.192": False}),
    Row("value", ("255.255.255.255",), ("255.255.255.255",), ("10.0.0.1",),
        {"255.255.255.254": False, "255.255.255.255": True}),
    Row("prefix", ("192.0.2.0/25",), ("192.0.2.64",), ("10.0.0.1",),
        {"192.0.1.255": False, "192.0.2.0": True, "192.0.2.127": True, "192.0.2.128": False}),
    Row("prefix", ("128.0.0.0/1",), ("192.0.2.64",), ("10.0.0.1",),
        {"127.255.255.255": False, "128.0.0.0": True, "255.255.255.255": True}),
    Row("prefix", ("192.0.2.7/32",), ("192.0.2.7",), ("10.0.0.1",),
        {"192.0.2.6": False, "192.0.2.7": True, "192.0.2.8": False}),
    Row("range", ("10.0.0.5-10.0.1.4",), ("10.0.0.255",), ("10.0.2.0",),
        {"10.0.0.4": False, "10.0.0.5": True, "10.0.1.4": True, "10.0.1.5": False}),
    Row("list", ("10.0.0.0/8", "192.0.2.7", "198.51.100.0/24"), ("10.1.2.3", "192.0.2.7"),
        ("203.0.113.1",), {"9.255.255.255": False, "10.0.0.0": True, "10.255.255.255": True,
                           "11.0.0.0": False, "198.51.100.255": True, "198.51.101.0": False}),
    Row("list", tuple(f"10.0.{n}.0/26" for n in range(40)), ("10.0.20.5",), ("10.0.20.65",),
        {"10.0.0.0": True, "10.0.39.63": True, "10.0.39.64": False, "9.255.255.255": False}),
)  # fmt: skip

ADDRESS6 = (
    Row("value", ("2001:db8::7",), ("2001:db8::7",), ("fe80::7", "2001:db8:0:1::7"),
        {"2001:db8::6": False, "2001:db8::7": True, "2001:db8::8": False}),
    Row("value", ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",), ("::",),
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe": False,
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff": True}),
    Row("prefix", ("2001:db8::/32",), ("2001:db8:1::1",), ("2001:db9::1", "::"),
        {"2001:db7:ffff:ffff:ffff:ffff:ffff:ffff": False, "2001:db8::": True,
         "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff": True, "2001:db9::": False}),
    Row("prefix", ("2001:db8:0:1::/64",), ("2001:db8:0:1::9",), ("2001:db8:0:9::",),
        {"2001:db8::ffff:ffff:ffff:ffff": False, "2001:db8:0:1::": True,
         "2001:db8:0:1:ffff:ffff:ffff:ffff": True, "2001:db8:0:2::": False}),
    Row("prefix", ("2001:db8::/65",), ("2001:db8::1",), ("2001:db8:1::1",),
        {"2001:db8::7fff:ffff:ffff:ffff": True, "2001:db8::8000:0:0:0": False,
         "2001:db8::": True}),
    Row("prefix", ("2001:db8::2/127",), ("2001:db8::2",), ("::2",),
        {"2001:db8::1": False, "2001:db8::2": True, "2001:db8::3": True, "2001:db8::4": False}),
    Row("prefix", ("8000::/1",), ("fe80::1",), ("2001:db8::",),
        {"7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff": False, "8000::": True}),
    Row("range", ("2001:db8::5-2001:db8:0:1::4",), ("2001:db8::ffff", "2001:db8:0:1::"),
        ("2001:db8:0:2::",),
        {"2001:db8::4": False, "2001:db8::5": True, "2001:db8:0:1::4": True,
         "2001:db8:0:1::5": False}),
    Row("range", ("2001:db8::5-2001:db8:0:9::4",), ("2001:db8:0:4::",), ("2001:db8:0:a::",),
        {"2001:db8::4": False, "2001:db8::5": True, "2001:db8:0:9::4": True,
         "2001:db8:0:9::5": False}),
    Row("list", ("2001:db8::/48", "fe80::/10", "ff02::1"), ("2001:db8::1", "fe80::1", "ff02::1"),
        ("ff02::2", "2001:db8:1::1"), {"febf:ffff::": True, "fec0::": False, "ff02::": False,
                                       "2001:db8:0:ffff::": True}),
    Row("list", tuple(f"2001:db8::{n:x}" for n in range(1, 100, 2)), ("2001:db8::1",),
        ("2001:db8::2", "2001:db8:0:1::1"), {"2001:db8::63": True, "2001:db8::64": False}),
)  # fmt: skip

VLAN_ID = (
    Row("value", (7,), (7,), (8, 4095), {6: False, 7: True, 8: False}),
    Row("value", (0,), (0,), (7,), {0: True, 1: False, 4095: False}),
    Row("range", ("100-4095",), (100, 2000), (7,), {99: False, 100: True, 4095: True}),
    Row("list", (7, "0x10", "20-30"), (7, 16, 25), (8, 40), {15: False, 17: False, 30: True}),
    Row("none", ("none",), (4096,), (0, 7), {4095: False, 4096: True}),
    Row("none", ("none", 7, "4000-4095"), (4096, 7), (8,), {3999: False, 4095: True, 4096: True}),
)

PRIORITY = (
    Row("value", (5,), (5,), (0, 7), {4: False, 5: True, 6: False}),
    Row("range", ("5-7",), (6,), (0,), {4: False, 5: True, 7: True}),
    Row("list", (0, 3), (0, 3), (1, 7), {2: False, 3: True, 4: False}),
    Row("none", ("none",), (8,), (0, 5), {7: False, 8: True}),
)

DSCP = (
    Row("value", (46,), (46,), (0, 63), {45: False, 46: True, 47: False}),
    Row("value", (0,), (0,), (46,), {0: True, 1: False, 63: False}),
    Row("range", ("32-63",), (40,), (8,), {31: False, 32: True, 63: True}),
    Row("list", (0, "af11", "46-48"), (0, 10, 47), (8, 63), {9: False, 11: False, 48: True}),
    Row("name", ("ef",), (46,), (0,), {45: False, 46: True, 47: False}),
    Row("name", ("cs1",), (8,), (0,), {7: False, 8: True, 9: False}),
    Row("name", ("le",), (1,), (0,), {1: True, 2: False}),
)

FRAGMENT = (
    Row("name", ("none",), (1,), (2, 3), {1: True, 2: False}),
    Row("name", ("first",), (2,), (1, 3), {1: False, 2: True, 3: False}),
    Row("name", ("later",), (3,), (1, 2), {2: False, 3: True}),
    Row("name", ("any",), (2, 3), (1,), {1: False, 2: True}),
    Row("list", ("none", "first"), (1, 2), (3,), {2: True, 3: False}),
)

NEXT_HEADER = (
    Row("value", (6,), (6,), (17, 0, 43), {5: False, 6: True, 7: False}),
    Row("value", (0,), (0,), (6, 43), {0: True, 1: False}),
    Row("value", (60,), (60,), (59, 44), {59: False, 60: True, 61: False}),
    Row("range", ("43-44",), (43, 44), (51, 6), {42: False, 43: True, 44: True, 45: False}),
    Row("range", ("6-17",), (6, 17), (1, 132, 0), {5: False, 6: True, 17: True, 18: False}),
    Row("list", ("hop", "dst", "tcp"), (0, 60, 6), (43, 17), {1: False, 59: False, 60: True}),
    Row("name", ("route",), (43,), (44, 6), {42: False, 43: True, 44: False}),
    Row("name", ("ah",), (51,), (50, 6), {50: False, 51: True, 52: False}),
    Row("name", ("mh",), (135,), (58,), {134: False, 135: True, 136: False}),
)

OPERATION = (
    Row("value", (1,), (1,), (2, 256), {0: False, 1: True, 2: False}),
    Row("range", ("1-2",), (1,), (9,), {0: False, 1: True, 2: True, 3: False}),
    Row("list", (1, "reply", 65535), (1, 2, 65535), (3,), {65534: False, 65535: True}),
    Row("name", ("request",), (1,), (2,), {0: False, 1: True, 2: False}),
    Row("name", ("reply",), (2,), (1,), {1: False, 2: True, 3: False}),
)

FLAGS = (
    Row("value", ("0x12",), (0x12,), (0x02, 0x10), {0x11: False, 0x12: True, 0x13: False}),
    Row("exact", ("syn",), (0x02,), (0x12, 0x00), {0x01: False, 0x02: True, 0x42: False}),
    Row("exact", ("ack, syn",), (0x12,), (0x02, 0x1A), {0x12: True, 0x13: False, 0x92: False}),
    Row("exact", ("none",), (0,), (2, 0x10), {0: True, 1: False, 0x80: False}),
    Row("any", ("any(syn,fin)",), (1, 2, 3, 0x12), (0, 0x10), {0xFC: False, 0xFD: True}),
    Row("any", ("any( cwr )",), (0x80, 0xFF), (0, 0x40), {0x7F: False, 0x80: True}),
    Row("all", ("all(syn,ack)",), (0x12, 0xFF), (2, 0x10, 0), {0xED: False, 0x52: True}),
    Row("list", ("syn", "all(syn,ack)", "rst"), (2, 0x12, 4), (0x10, 0x14), {3: False, 0x13: True}),
    Row(
        "list",
        (16, "fin,ack", "psh,ack"),
        (16, 17, 24),
        (0, 2),
        {15: False, 18: False, 25: False, 17: True},
    ),
)

LENGTH = (
    Row("value", (64,), (64,), (60, 1500), {63: False, 64: True, 65: False}),
    Row("range", ("64-1514",), (64, 1000), (60, 2000), {63: False, 1514: True, 1515: False}),
    Row("range", ("1515-4294967295",), (2000,), (60,), {1514: False, 1515: True}),
    Row("list", (64, "256-257", 2048), (64, 256, 2048), (255, 65), {257: True, 258: False}),
)

MAC = (
    Row("value", ("02:00:00:00:00:07",), ("02:00:00:00:00:07",), ("02:00:00:00:00:08",),
        {"02:00:00:00:00:06": False, "02:00:00:00:00:07": True, "07:00:00:00:00:02": False}),
    Row("value", ("FE-ff-ff-ff-ff-ff",), ("fe:ff:ff:ff:ff:ff",), ("02:00:00:00:00:08",),
        {"fe:ff:ff:ff:ff:fe": False, "fe:ff:ff:ff:ff:ff": True}),
    Row("prefix", ("02:aa:bb:00:00:00/ff:ff:ff:00:00:00",), ("02:aa:bb:01:02:03",),
        ("02:aa:bc:00:00:00",), {"02:aa:ba:ff:ff:ff": False, "02:aa:bb:00:00:00": True,
                                 "02:aa:bb:ff:ff:ff": True, "02:aa:bc:00:00:00": False}),
    Row("prefix", ("02:aa:bb:00:00:00/24",), ("02:aa:bb:01:02:03",), ("02:aa:bc:00:00:00",),
        {"02:aa:ba:ff:ff:ff": False, "02:aa:bb:ff:ff:ff": True}),
    Row("mask", ("02:00:00:00:00:00/02:00:00:00:00:00",), ("02:00:00:00:00:01",),
        ("00:11:22:33:44:55",), {"fd:ff:ff:ff:ff:ff": False, "fe:00:00:00:00:00": True}),
    Row("mask", ("02:00:00:00:00:05/ff:00:00:00:00:0f",), ("02:11:22:33:44:55",),
        ("02:11:22:33:44:56",), {"02:ff:ff:ff:ff:f4": False, "02:ff:ff:ff:ff:f5": True,
                                 "03:00:00:00:00:05": False}),
    Row("range", ("02:00:00:00:00:10-02:00:00:00:01:0f",), ("02:00:00:00:00:ff",),
        ("02:00:00:00:02:00",), {"02:00:00:00:00:0f": False, "02:00:00:00:00:10": True,
                                 "02:00:00:00:01:0f": True, "02:00:00:00:01:10": False}),
    Row("list", ("02:00:00:00:00:07", "00:50:56:00:00:00/24",
                 "00:00:00:00:00:01/00:00:00:00:00:ff"),
        ("02:00:00:00:00:07", "00:50:56:99:99:99", "aa:aa:aa:aa:aa:01"), ("02:00:00:00:00:08",),
        {"00:50:56:ff:ff:ff": True, "00:50:57:00:00:00": False, "00:50:55:ff:ff:01": True}),
)  # fmt: skip

GROUP = (
    Row("name", ("broadcast",), ("ff:ff:ff:ff:ff:ff",), ("01:00:5e:00:00:01", "02:00:00:00:00:01"),
        {"ff:ff:ff:ff:ff:fe": False, "ff:ff:ff:ff:ff:ff": True}),
    Row("name", ("multicast",), ("ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "33:33:00:00:00:01"),
        ("02:00:00:00:00:01", "00:00:00:00:00:00"),
        {"fe:ff:ff:ff:ff:ff": False, "01:00:00:00:00:00": True}),
)  # fmt: skip


def number(value: Number) -> int:
    """A value as the field's number."""
    if isinstance(value, int):
        return value
    if re.fullmatch("(..:){5}..", value):
        return int(value.replace(":", ""), 16)
    return int(ipaddress.ip_address(value))
