"""The forms of addresses in match keys: IP and MAC."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from xdpctl.record import record
from xdpctl.topology.form import Span, Spans, masked, names_schema, ordered, text_schema
from xdpctl.topology.model import Interval

_MAC = r"[0-9a-fA-F]{2}(?:[:-][0-9a-fA-F]{2}){5}"


@record
class Address:
    """An IP address, a prefix or a range."""

    version: int
    names: tuple[str, ...] = ()
    several: bool = True

    @property
    def bits(self) -> int:
        """32 or 128."""
        return 32 if self.version == 4 else 128

    def parse(self, text: str) -> Spans | None:
        """A prefix's host part must be zero."""
        low, slash, length = text.partition("/")
        if slash:
            return self._prefix(text, low, length)
        low, dash, high = text.partition("-")
        first = self._number(low.strip())
        last = self._number(high.strip()) if dash else first
        if first is None or last is None:
            return None
        return (ordered(first, last, text),)

    def _number(self, text: str) -> int | None:
        family = socket.AF_INET if self.version == 4 else socket.AF_INET6
        try:
            return int.from_bytes(socket.inet_pton(family, text), "big")
        except (OSError, ValueError):  # ValueError: a NUL
            return None

    def _prefix(self, text: str, low: str, length: str) -> Spans | None:
        family = ipaddress.IPv4Network if self.version == 4 else ipaddress.IPv6Network
        first = self._number(low)
        try:
            network = family(f"{low}/{length}", strict=False)
        except ValueError:
            return None
        if first is None:
            return None
        if int(network.network_address) != first:
            raise ValueError(f"has bits beyond its prefix: {text} (write {network})")
        return (Interval(first, int(network.broadcast_address)),)

    def wanted(self) -> str:
        """What is allowed, in words."""
        return f"an IPv{self.version} address, a prefix (…/n) or a range (…-…)"

    def choices(self) -> list[dict[str, Any]]:
        """Schemas of one value."""
        digits = "0-9." if self.version == 4 else "0-9a-fA-F:."
        return [text_schema(rf"^!?\s*[{digits}/ -]+$")]


@record
class Mac:
    """A MAC address, one with a mask, or a range; some sets of them have a word."""

    words: Mapping[str, Span] = field(default_factory=dict)
    bits: int = 48
    several: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """The words."""
        return tuple(self.words)

    def parse(self, text: str) -> Spans | None:
        """The mask is written as an address or as a number of leading bits."""
        if text in self.words:
            return (self.words[text],)
        found = re.fullmatch(rf"({_MAC})(?:\s*(/|-)\s*({_MAC}|[0-9]{{1,2}}))?", text)
        if found is None:
            return None
        low, sign, second = _mac(found[1]), found[2], found[3]
        if sign is None:
            return (Interval(low, low),)
        if not re.fullmatch(_MAC, second):
            bits = int(second)
            if sign == "-" or bits > 48:
                return None
            mask = (1 << 48) - (1 << 48 - bits)
        elif sign == "-":
            return (ordered(low, _mac(second), text),)
        else:
            mask = _mac(second)
        if low & ~mask:
            written = (low & mask).to_bytes(6, "big").hex(":")
            raise ValueError(f"has bits beyond its mask: {text} (write {written}/{second})")
        return (masked(low, mask, 48),)

    def wanted(self) -> str:
        """What is allowed, in words."""
        words = "".join(f", {word}" for word in self.words)
        return f"a MAC address, one with a mask (…/ff:ff:ff:00:00:00){words} or a range (…-…)"

    def choices(self) -> list[dict[str, Any]]:
        """Schemas of one value."""
        words = "|".join([r"[0-9a-fA-F:-]+(\s*[/-]\s*[0-9a-fA-F:-]+)?", *self.words])
        return [*names_schema(self), text_schema(rf"^!?\s*({words})\s*$")]


def _mac(text: str) -> int:
    return int(re.sub("[:-]", "", text), 16)
