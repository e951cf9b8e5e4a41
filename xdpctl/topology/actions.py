"""What a rule does: `pass`, or `{limit: 100/second, burst: 20}` and the like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, get_args

from xdpctl.topology.model import Action, Rate
from xdpctl.topology.raw import nearest, shown

PLAIN: Final[tuple[Action, ...]] = ("pass", "drop", "tx", "count", "log")
"""Actions that are one word."""
NAMING: Final[dict[Action, str]] = {
    "redirect": "a device of this file",
    "userspace": "a name for the sockets' map (a-z, 0-9, _ and -, at most 32)",
    "policy": "a policy of this file",
}
"""Actions that are followed by a name, and what it is the name of."""
ACTIONS: Final[tuple[Action, ...]] = get_args(Action)

SECOND: Final = 1_000_000_000
_PERIODS: Final = {"second": SECOND, "minute": 60 * SECOND, "hour": 3600 * SECOND,
                   "day": 86400 * SECOND}  # fmt: skip
_SHORT: Final = {"s": "second", "sec": "second", "m": "minute", "min": "minute", "h": "hour",
                 "d": "day"}  # fmt: skip
_SCALE: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
FASTEST: Final = {"packets": 100_000_000, "bytes": 125_000_000_000}
"""Most a second: below 10 ns a packet the clock's nanoseconds are too coarse; 1 Tbit/s."""
LEAST_BURST: Final = {"packets": 5, "bytes": 15_000}
"""nft's and iptables' default burst; ten frames of an Ethernet."""
LARGEST_BURST: Final = 1 << 40
_SOCKETS: Final = re.compile("[a-z0-9_-]{1,32}")

_PACKETS = re.compile(r"([0-9]{1,12})(?:\s*packets?)?\s*/\s*([a-z]+)(?:\s+(?:burst\s+)?(.+))?")
_BITS = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([kmg]?)bit(?:\s+(?:burst\s+)?(.+))?")
_BYTES = re.compile(r"([0-9]{1,12})\s*([kmg]?)bytes?\s*/\s*([a-z]+)(?:\s+(?:burst\s+)?(.+))?")
_BURST = re.compile(r"([0-9]{1,12})\s*(?:packets?|([kmg]?)(b|bytes?)?)")


@dataclass(frozen=True, slots=True)
class Act:
    """An action as the file has it: see Rule."""

    action: Action
    target: str = ""
    rate: Rate | None = None


@dataclass(frozen=True, slots=True)
class ActionReader:
    """Reads the value of `action`; raises ValueError with a sentence that goes on after it."""

    def parse(self, raw: object) -> Act:
        """A word, or a mapping of one key (and `burst` beside `limit`)."""
        if isinstance(raw, Mapping):
            return self._mapping(raw)
        for word in PLAIN:
            if raw == word:
                return Act(word)
        if isinstance(raw, str) and raw in ACTIONS:
            raise ValueError(f"{raw} says nothing more: write {{{raw}: …}}")
        hint = nearest(raw, ACTIONS) if isinstance(raw, str) else ""
        wanted = ", ".join(ACTIONS[:-1]) + f" or {ACTIONS[-1]}"
        raise ValueError(f"must be {wanted}, not {shown(raw)}{hint}")

    def _mapping(self, raw: Mapping[Any, Any]) -> Act:
        keys = [key for key in raw if key != "burst"] or list(raw)
        if len(keys) != 1:
            found = ", ".join(map(str, keys)) or "nothing"
            raise ValueError(f"must be one thing, not {found}")
        (key,) = keys
        if "burst" in raw and key != "limit":
            raise ValueError("has a burst, which is for limit only")
        if key in PLAIN:
            raise ValueError(f"{key} takes no value: write action: {key}")
        if key == "limit":
            return Act("limit", rate=rate(raw["limit"], raw.get("burst")))
        for naming, what in NAMING.items():
            if key == naming:
                return Act(naming, self._name(naming, what, raw[key]))
        raise ValueError(f"has an unknown key {str(key)!r}{nearest(str(key), ACTIONS)}")

    def _name(self, action: Action, what: str, raw: object) -> str:
        fits = isinstance(raw, str) and raw != "" and (
            action != "userspace" or _SOCKETS.fullmatch(raw) is not None
        )  # fmt: skip
        if not fits or not isinstance(raw, str):
            raise ValueError(f"{action} must be {what}, not {shown(raw)}")
        return raw

    def schema(self) -> dict[str, Any]:
        """Words, and a mapping for each of the others."""
        text = {"type": "string", "minLength": 1}
        number = {"type": "integer", "minimum": 1}
        mappings = [
            {
                "type": "object",
                "properties": {action: {"description": what, **text}},
                "required": [action],
                "additionalProperties": False,
            }
            for action, what in NAMING.items()
        ]
        limit = {
            "type": "object",
            "properties": {
                "limit": {"description": "100/second, 10mbit, 5 mbytes/second burst 64k", **text},
                "burst": {"anyOf": [number, text]},
            },
            "required": ["limit"],
            "additionalProperties": False,
        }
        return {"anyOf": [{"enum": list(PLAIN)}, limit, *mappings]}


ACTION: Final = ActionReader()


def rate(raw: object, burst: object = None) -> Rate:
    """`N/second|minute|hour|day`, `Nkbit|mbit|gbit` or `N kbytes/second`, and its burst.

    The burst left out is what comes in 10 ms, but at least 5 packets or 15,000 bytes.
    """
    if isinstance(raw, Mapping) and set(raw) <= {"rate", "burst"} and "rate" in raw:
        return rate(raw["rate"], raw.get("burst", burst))
    text = raw.strip().lower() if isinstance(raw, str) else ""
    found = _amount(text)
    if found is None:
        raise ValueError(
            f"limit must be like 100/second, 10mbit or 5 mbytes/second, not {shown(raw)}"
        )
    unit, amount, period, own = found
    if own is not None and burst is not None:
        raise ValueError("limit has its burst twice")
    if amount == 0:
        raise ValueError("limit of nothing: write action: drop")
    if amount * SECOND > FASTEST[unit] * period:
        raise ValueError(f"limit is beyond {FASTEST[unit]} {unit} a second: {text}")
    said = own if own is not None else burst
    least = max(LEAST_BURST[unit], amount * SECOND // period // 100)
    return Rate(unit, amount, period, least if said is None else _burst(said, unit))  # type: ignore[arg-type]


def _amount(text: str) -> tuple[str, int, int, str | None] | None:
    """Unit, amount, nanoseconds, and what follows."""
    if found := _PACKETS.fullmatch(text):
        return "packets", int(found[1]), _period(found[2]), found[3]
    if found := _BITS.fullmatch(text):
        bits = int(Decimal(found[1]) * _SCALE[found[2]])
        whole = bits % 8 == 0
        return "bytes", bits // 8 if whole else bits, SECOND if whole else 8 * SECOND, found[3]
    if found := _BYTES.fullmatch(text):
        return "bytes", int(found[1]) * _SCALE[found[2]], _period(found[3]), found[4]
    return None


def _period(word: str) -> int:
    name = _SHORT.get(word, word)
    if name not in _PERIODS:
        known = ", ".join(_PERIODS)
        raise ValueError(f"limit is per one of {known}, not {word}{nearest(word, _PERIODS)}")
    return _PERIODS[name]


def _burst(raw: object, unit: str) -> int:
    text = shown(raw).strip().lower() if isinstance(raw, str | int) else ""
    found = _BURST.fullmatch(text)
    is_bytes = found is not None and bool(found[2] or found[3])
    is_packets = found is not None and "packet" in text
    if found is None or (is_bytes and unit == "packets") or (is_packets and unit == "bytes"):
        wanted = "a number of packets" if unit == "packets" else "a number of bytes (64k)"
        raise ValueError(f"burst must be {wanted}, not {shown(raw)}")
    number = int(found[1]) * _SCALE[found[2] or ""]
    if not 1 <= number <= LARGEST_BURST:
        raise ValueError(f"burst must be from 1 to {LARGEST_BURST}, not {shown(raw)}")
    return number
