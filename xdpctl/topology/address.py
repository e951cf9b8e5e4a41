"""Codecs of what names a device or a host: MAC and IP addresses, device names."""

from __future__ import annotations

import ipaddress
import re
import struct
from typing import Any

from xdpctl.record import record
from xdpctl.topology.model import Value
from xdpctl.topology.raw import each, elements, shown

_CANONICAL = re.compile("(?!00(?::00){5})[0-9a-f][02468ace](?::[0-9a-f]{2}){5}")
"""A unicast address as we write it ourselves: thousands of them need no second look."""


@record
class Mac:
    """A MAC address, `02:00:00:00:00:10`. `unicast`: not multicast and not zero."""

    unicast: bool = True

    def parse(self, raw: object) -> Value:
        """Six hexadecimal bytes with colons or dashes between them."""
        if isinstance(raw, str) and _CANONICAL.fullmatch(raw):
            return raw
        text = shown(raw).strip().lower().replace("-", ":")
        if not isinstance(raw, str) or not re.fullmatch(r"([0-9a-f]{1,2}:){5}[0-9a-f]{1,2}", text):
            raise ValueError(f"must be a MAC address like 02:00:00:00:00:10, not {shown(raw)}")
        octets = bytes(int(part, 16) for part in text.split(":"))
        if self.unicast and octets[0] & 1:
            raise ValueError(f"must be a unicast address, but {text} is a multicast one")
        if self.unicast and not any(octets):
            raise ValueError("must not be all zeroes")
        return octets.hex(":")

    def encode(self, value: Value) -> bytes:
        """Six bytes."""
        return bytes.fromhex(str(value).replace(":", ""))

    def decode(self, payload: bytes) -> Value:
        """The bytes, whatever their number (tunnels have 4 or 16)."""
        return payload.hex(":")

    def schema(self) -> dict[str, Any]:
        """A pattern."""
        return {"type": "string", "pattern": "^([0-9a-fA-F]{1,2}[:-]){5}[0-9a-fA-F]{1,2}$"}


Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def address(raw: object, version: int | None = None) -> Address:
    """An IP address, of that version if one is named."""
    what = f"an IPv{version} address" if version else "an IP address"
    try:
        found = ipaddress.ip_address(raw.strip() if isinstance(raw, str) else "")
    except ValueError:
        raise ValueError(f"must be {what}, not {shown(raw)}") from None
    if version and found.version != version:
        raise ValueError(f"must be {what}, not {shown(raw)}")
    return found


@record
class Addresses:
    """Up to `limit` IP addresses in a nest, numbered from 0. Their order means nothing: sorted."""

    version: int
    limit: int

    def parse(self, raw: object) -> Value:
        """A list, or a string with commas."""
        found = sorted({address(one, self.version) for one in elements(raw)}, key=int)
        if len(found) > self.limit:
            raise ValueError(f"takes at most {self.limit} addresses, not {len(found)}")
        return tuple(str(one) for one in found)

    def encode(self, value: Value) -> bytes:
        """A nest of addresses."""
        packed = [ipaddress.ip_address(str(one)).packed for one in each(value)]
        return b"".join(
            struct.pack("=HH", 4 + len(one), number) + one for number, one in enumerate(packed)
        )

    def decode(self, payload: bytes) -> Value:
        """The addresses of a nest."""
        size = 4 + (4 if self.version == 4 else 16)
        found = [payload[at + 4 : at + size] for at in range(0, len(payload), size)]
        return tuple(str(ipaddress.ip_address(one)) for one in sorted(found))

    def schema(self) -> dict[str, Any]:
        """A list of strings, or one string."""
        text = {"type": "string"}
        return {"anyOf": [text, {"type": "array", "items": text, "maxItems": self.limit}]}


@record
class Reference:
    """Another device: its name in the file and in a plan, its ifindex on the wire.

    Names and indexes are of one network namespace at one time, so whoever encodes or decodes
    brings the table; here a name is text and an index a number.
    """

    def parse(self, raw: object) -> Value:
        """A device's name."""
        return device_name(raw)

    def encode(self, value: Value) -> bytes:
        """The ifindex, which the caller has put in the name's place."""
        return struct.pack("=I", value)

    def decode(self, payload: bytes) -> Value:
        """The ifindex, which the caller puts a name for."""
        return int(struct.unpack_from("=I", payload)[0])

    def schema(self) -> dict[str, Any]:
        """A device's name."""
        return NAME_SCHEMA


NAME_SCHEMA: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 15}


def device_name(raw: object) -> str:
    """A name that the kernel takes (dev_valid_name): 1-15 bytes, no blank, slash or colon."""
    name = str(raw) if isinstance(raw, str) else ""
    if not 0 < len(name.encode()) <= 15:
        raise ValueError(f"must be a device's name of at most 15 bytes, not {shown(raw)}")
    if name in {".", ".."} or re.search(r"[\s/:]", name):
        raise ValueError(f"must be a device's name without blanks, / and :, not {name}")
    return name
