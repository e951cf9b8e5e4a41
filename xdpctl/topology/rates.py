"""Rates of `limit`: `100/second`, `10mbit`, `5 mbytes/second burst 64k`."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final, Literal

from xdpctl.record import record
from xdpctl.topology.model import Rate
from xdpctl.topology.raw import nearest, shown

Unit = Literal["packets", "bytes"]

SECOND: Final = 1_000_000_000
_PERIODS: Final = {"second": SECOND, "minute": 60 * SECOND, "hour": 3600 * SECOND,
                   "day": 86400 * SECOND}  # fmt: skip
_SHORT: Final = {"s": "second", "sec": "second", "m": "minute", "min": "minute", "h": "hour",
                 "d": "day"}  # fmt: skip
_SCALE: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
FASTEST: Final[dict[Unit, int]] = {"packets": 100_000_000, "bytes": 125_000_000_000}
"""Most a second: below 10 ns a packet the clock's nanoseconds are too coarse; 1 Tbit/s."""
LEAST_BURST: Final = {"packets": 5, "bytes": 131_072}
"""nft's and iptables' default burst; two packets of the size that the kernel merges (GRO)."""
LARGEST_BURST: Final = 1 << 40

PATTERN: Final = r"^\s*[0-9].*(/\s*[a-zA-Z]|[bB][iI][tT])"
"""What the text of every rate matches; some that is none does so, too."""

_AMOUNT = r"([0-9]{1,12})"
_REST = r"(?:\s+(?:burst(?:\s+|$))?(.*))?"
_PACKETS = re.compile(rf"{_AMOUNT}(?:\s*packets?)?\s*/\s*([a-z]+){_REST}")
_A_SECOND = r"(?:\s*/\s*s(?:ec(?:ond)?)?)?"
_BITS = re.compile(rf"([0-9]{{1,12}}(?:\.[0-9]{{1,6}})?)\s*([kmg]?)bit{_A_SECOND}{_REST}")
_BYTES = re.compile(rf"{_AMOUNT}\s*([kmg]?)bytes?\s*/\s*([a-z]+){_REST}")
_BURST = re.compile(rf"{_AMOUNT}\s*(?:packets?|([kmg]?)(b|bytes?)?)")


@record
class Speed:
    """A rate without its burst; `burst` is what stands for it in the same text, if anything."""

    unit: Unit
    amount: int
    period: int
    burst: str | None

    def with_burst(self, raw: object, *, said: bool = False) -> Rate:
        """The rate. Left out, its burst is what comes in 10 ms, but 5 packets or 131,072 bytes at
        least. ValueError with a sentence that goes on after `burst`.
        """
        if raw is None and not said:
            within = self.amount * SECOND // self.period // 100
            return Rate(self.unit, self.amount, self.period, max(LEAST_BURST[self.unit], within))
        return Rate(self.unit, self.amount, self.period, _burst(raw, self.unit))


def speed(raw: object) -> Speed:
    """Reads `N/second|minute|hour|day`, `Nkbit|mbit|gbit` or `N kbytes/second`, with a burst
    behind it or without. ValueError with a sentence that goes on after the key.
    """
    text = raw.strip().lower() if isinstance(raw, str) else ""
    found = _speed(text)
    if found is None:
        wanted = "100/second, 10mbit or 5 mbytes/second"
        raise ValueError(f"must be like {wanted}, not {shown(raw) or 'nothing'}")
    if found.amount == 0:
        raise ValueError("of nothing: write action: drop")
    if found.amount * SECOND > FASTEST[found.unit] * found.period:
        raise ValueError(f"must be at most {FASTEST[found.unit]} {found.unit} a second, not {text}")
    return found


def _speed(text: str) -> Speed | None:
    if found := _PACKETS.fullmatch(text):
        return Speed("packets", int(found[1]), _period(found[2]), found[3])
    if found := _BITS.fullmatch(text):
        bits = int(Decimal(found[1]) * _SCALE[found[2]])
        whole = bits % 8 == 0
        amount, period = (bits // 8, SECOND) if whole else (bits, 8 * SECOND)
        return Speed("bytes", amount, period, found[3])
    if found := _BYTES.fullmatch(text):
        return Speed("bytes", int(found[1]) * _SCALE[found[2]], _period(found[3]), found[4])
    return None


def _period(word: str) -> int:
    name = _SHORT.get(word, word)
    if name not in _PERIODS:
        known = "second, minute, hour or day"
        raise ValueError(f"must be per {known}, not {word}{nearest(word, _PERIODS)}")
    return _PERIODS[name]


def _burst(raw: object, unit: Unit) -> int:
    text = shown(raw).strip().lower() if isinstance(raw, str | int) else ""
    found = _BURST.fullmatch(text)
    is_bytes = found is not None and bool(found[2] or found[3])
    is_packets = found is not None and "packet" in text
    if found is None or (is_bytes and unit == "packets") or (is_packets and unit == "bytes"):
        wanted = "a number of packets" if unit == "packets" else "a number of bytes (64k)"
        raise ValueError(f"must be {wanted}, not {shown(raw) or 'nothing'}")
    number = int(found[1]) * _SCALE[found[2] or ""]
    if not 1 <= number <= LARGEST_BURST:
        raise ValueError(f"must be from 1 to {LARGEST_BURST}, not {shown(raw)}")
    return number
