"""What devices do for the stack, by the kernel's names of its features (ethtool netlink, 5.6).

`ethtool -k` shows groups of them by older names: `rxvlan` there is `rx-vlan-hw-parse` here.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable, Iterator, Mapping

from xdpctl.errors import KernelError
from xdpctl.host.attributes import attribute, index, nest, string, text, u32, walk
from xdpctl.host.features import NETLINK_GENERIC, command, family_number
from xdpctl.host.netlink import Netlink, message
from xdpctl.record import record

NLA_F_NESTED = 0x8000
"""Generic netlink policies ask for it (lib/nlattr.c, NL_VALIDATE_STRICT)."""
ETHTOOL_MSG_STRSET_GET, ETHTOOL_MSG_FEATURES_GET, ETHTOOL_MSG_FEATURES_SET = 1, 11, 12
ETHTOOL_A_HEADER, ETHTOOL_A_HEADER_DEV_INDEX, ETHTOOL_A_HEADER_FLAGS = 1, 1, 3
ETHTOOL_FLAG_COMPACT_BITSETS, ETHTOOL_FLAG_OMIT_REPLY = 1, 2
HW, WANTED, ACTIVE, NOCHANGE = 2, 3, 4, 5
"""ETHTOOL_A_FEATURES_*."""
BITSET_BITS, BITSET_VALUE, BIT_NAME, BIT_VALUE = 3, 4, 2, 3
STRSET_STRINGSETS, STRINGSETS_STRINGSET = 2, 1
STRINGSET_ID, STRINGSET_STRINGS, STRINGS_STRING, STRING_VALUE = 1, 3, 1, 2
ETH_SS_FEATURES = 4


@record
class Offloads:
    """The features of one device: words of bits, whose numbers `names` has (each kernel its own).

    hw        the driver may be asked to switch it
    wanted    was asked for
    active    is in force
    nochange  no request ever changes it
    """

    names: Mapping[str, int]
    hw: int
    wanted: int
    active: int
    nochange: int

    def is_on(self, feature: str) -> bool:
        """Whether it is in force; a feature that this kernel does not have is not."""
        return bool(self.active & self._bit(feature))

    def is_fixed(self, feature: str) -> bool:
        """Whether no request changes it (`[fixed]` of ethtool)."""
        return not self.hw & ~self.nochange & self._bit(feature)

    def _bit(self, feature: str) -> int:
        number = self.names.get(feature)
        return 0 if number is None else 1 << number


class Ethtool(Netlink):
    """A generic netlink socket that speaks with the family `ethtool`, if the kernel has it."""

    def __init__(self) -> None:
        super().__init__(NETLINK_GENERIC)
        self._family = family_number(self, "ethtool")
        self._names: dict[str, int] = {}

    def offloads(self, devices: Iterable[int]) -> dict[int, Offloads]:
        """The features of devices by ifindex; those that are gone are left out.

        All of them where the kernel has no ethtool netlink (CONFIG_ETHTOOL_NETLINK).
        """
        wanted = list(devices)
        if self._family is None or not wanted:
            return {}
        names = self.names()
        asked = [(self._get(one), f"read the features of device {one}") for one in wanted]
        found: dict[int, Offloads] = {}
        for ifindex, answer in zip(wanted, self.ask_all(asked), strict=True):
            if isinstance(answer, bytes):
                found[ifindex] = decode(answer, names)
            elif not (isinstance(answer, KernelError) and answer.errno == errno.ENODEV):
                raise answer
        return found

    def switch(self, ifindex: int, features: Mapping[str, bool], operation: str) -> None:
        """Ask for features to be on or off; what came of it is to be read back.

        The kernel says nothing where the driver keeps a feature as it is (ethnl_set_features).
        Raises KernelError (EINVAL for a name that it does not know).
        """
        if self._family is None:
            raise KernelError(operation, errno.EOPNOTSUPP, "this kernel has no ethtool netlink")
        bits = [bit(name, on) for name, on in features.items()]
        bitset = nest(WANTED | NLA_F_NESTED, [nest(BITSET_BITS | NLA_F_NESTED, bits)])
        head = header(ifindex, ETHTOOL_FLAG_OMIT_REPLY)
        body = command(ETHTOOL_MSG_FEATURES_SET) + head + bitset
        self.request(message(self._family, 0, body), operation)

    def names(self) -> dict[str, int]:
        """Every feature of this kernel and the number of its bit."""
        if not self._names and self._family is not None:
            number = u32(STRINGSET_ID, ETH_SS_FEATURES)
            asked = nest(STRINGSETS_STRINGSET | NLA_F_NESTED, [number])
            body = command(ETHTOOL_MSG_STRSET_GET) + nest(ETHTOOL_A_HEADER | NLA_F_NESTED, [])
            body += nest(STRSET_STRINGSETS | NLA_F_NESTED, [asked])
            answer = self.ask(message(self._family, 0, body), "read the names of features")
            self._names = {name: at for at, name in enumerate(strings(answer)) if name}
        return self._names

    def _get(self, ifindex: int) -> bytes:
        assert self._family is not None
        body = command(ETHTOOL_MSG_FEATURES_GET) + header(ifindex, ETHTOOL_FLAG_COMPACT_BITSETS)
        return message(self._family, 0, body)


def header(ifindex: int, flags: int) -> bytes:
    """ETHTOOL_A_*_HEADER: which device is meant, and how to answer."""
    parts = [u32(ETHTOOL_A_HEADER_DEV_INDEX, ifindex), u32(ETHTOOL_A_HEADER_FLAGS, flags)]
    return nest(ETHTOOL_A_HEADER | NLA_F_NESTED, parts)


def bit(name: str, on: bool) -> bytes:
    """One bit of a bitset, by its name: off is named as well, but without a value."""
    parts = [text(BIT_NAME, name), *([attribute(BIT_VALUE, b"")] if on else [])]
    return nest(1 | NLA_F_NESTED, parts)


def strings(answer: bytes) -> Iterator[str]:
    """The strings of a set, in their order."""
    sets = index(index(answer, 4).get(STRSET_STRINGSETS, b""))
    found = index(sets.get(STRINGSETS_STRINGSET, b"")).get(STRINGSET_STRINGS, b"")
    for number, payload in walk(found):
        if number == STRINGS_STRING:
            yield string(index(payload).get(STRING_VALUE))


def decode(answer: bytes, names: Mapping[str, int]) -> Offloads:
    """An answer to ETHTOOL_MSG_FEATURES_GET, with compact bitsets."""
    found = index(answer, 4)
    hw, wanted, active, nochange = (word(found.get(n)) for n in (HW, WANTED, ACTIVE, NOCHANGE))
    return Offloads(names, hw, wanted, active, nochange)


def word(bitset: bytes | None) -> int:
    """A compact bitset as a number: 32-bit words in the host's order, the lowest first."""
    value = index(bitset or b"").get(BITSET_VALUE, b"")
    return sum(one << 32 * at for at, (one,) in enumerate(struct.iter_unpack("=I", value)))
