"""What a rule does: `pass`, or `{limit: 100/second, burst: 20}` and the like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, get_args

from xdpctl.record import record
from xdpctl.topology import leaf, rates
from xdpctl.topology.model import Action, Rate
from xdpctl.topology.raw import nearest, shown

PLAIN: Final[tuple[Action, ...]] = ("pass", "drop", "tx", "count", "log")
"""Actions that are one word."""
NAMING: Final[dict[Action, str]] = {
    "redirect": "a device's name",
    "userspace": "a name for the sockets' map (at most 32 of a-z, 0-9, _ and -)",
    "policy": "a policy's name",
}
"""Actions that are followed by a name, and what it is the name of."""
ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
_EXAMPLES: Final = {"limit": "100/second", "redirect": "DEVICE", "userspace": "NAME",
                    "policy": "POLICY"}  # fmt: skip
_ELSEWHERE: Final = {
    "accept": "pass", "allow": "pass", "return": "pass", "xdp_pass": "pass",
    "block": "drop", "deny": "drop", "discard": "drop", "reject": "drop", "xdp_drop": "drop",
    "counter": "count", "xdp_tx": "tx",
    "goto": "policy", "jump": "policy", "police": "limit", "rate": "limit",
    "dev": "redirect", "forward": "redirect", "fwd": "redirect", "xdp_redirect": "redirect",
    "xsk": "userspace", "af_xdp": "userspace",
}  # fmt: skip
"""What other tools call an action."""

_SOCKETS: Final = re.compile("[a-z0-9_-]{1,32}")
_NAME_SCHEMA: Final = {"userspace": {"pattern": f"^{_SOCKETS.pattern}$"}}
_ANYTHING: Final = re.compile(r"\S(?s:.*)")


@record
class Act:
    """An action as the file has it: see Rule."""

    action: Action
    target: str = ""
    rate: Rate | None = None


@record
class ActionReader:
    """Reads the value of `action`; raises ValueError with a sentence that goes on after it."""

    def parse(self, raw: object) -> Act:
        """A word, or a mapping of one key (and `burst` beside `limit`)."""
        if isinstance(raw, Mapping):
            return self._mapping(raw)
        for word in PLAIN:
            if raw == word:
                return Act(word)
        if isinstance(raw, str):
            self._check_word(raw.strip())
        wanted = ", ".join(ACTIONS[:-1]) + f" or {ACTIONS[-1]}"
        hint = _hint(raw) if isinstance(raw, str) else ""
        raise ValueError(f"must be {wanted}, not {shown(raw)}{hint}")

    def _check_word(self, text: str) -> None:
        """Tell who writes `redirect` or `redirect tap0` that it is a mapping."""
        word, *rest = re.split(r"[\s:=]+", text, maxsplit=1)
        for action, example in _EXAMPLES.items():
            if word == action:
                value = rest[0] if rest else example
                what = text if rest else f"{action} alone"
                raise ValueError(f"cannot be {what}: write {{{action}: {value}}}")

    def _mapping(self, raw: Mapping[Any, Any]) -> Act:
        keys = [str(key) for key in raw if key != "burst"]
        if not keys:
            raise ValueError(f"must be one thing, not {'a burst alone' if raw else 'nothing'}")
        for key in keys:
            if key not in ACTIONS:
                message = f"unknown key {key!r}{_hint(key)}"
                raise leaf.Inside(message, key, at_key=True)
        if len(keys) > 1:
            message = f"action must be one thing, not {', '.join(keys[:-1])} and {keys[-1]}"
            raise leaf.Inside(message, keys[1], at_key=True)
        (key,) = keys
        if "burst" in raw and key != "limit":
            raise leaf.Inside("burst is for limit only", "burst", at_key=True)
        if key in PLAIN:
            message = f"{key} takes no value: write action: {key}"
            raise leaf.Inside(message, key, at_key=True)
        if key == "limit":
            return Act("limit", rate=self._rate(raw))
        for naming, what in NAMING.items():
            if key == naming:
                return Act(naming, _name(naming, what, raw[key]))
        raise AssertionError(key)

    def _rate(self, raw: Mapping[Any, Any]) -> Rate:
        """`limit: RATE`, `burst: …` beside it, or both within `limit`."""
        inner = raw["limit"]
        if not isinstance(inner, Mapping):
            return _rate(raw, ("limit",))
        for key in inner:
            if key not in ("rate", "burst"):
                message = f"unknown key {str(key)!r}{leaf.guess(str(key), ('rate', 'burst'))}"
                raise leaf.Inside(message, "limit", str(key), at_key=True)
        if "rate" not in inner:
            raise leaf.Inside("limit has no rate", "limit", at_key=True)
        if "burst" in raw:
            if "burst" in inner:
                raise leaf.Inside("limit has its burst twice", "burst", at_key=True)
            return _rate({"rate": inner["rate"], "burst": raw["burst"]}, ("limit", "rate"), ())
        return _rate(inner, ("limit", "rate"), ("limit",))

    def schema(self) -> dict[str, Any]:
        """Words, and a mapping for each of the others."""
        text = {"type": "string", "minLength": 1}
        burst = {"anyOf": [{"type": "integer", "minimum": 1}, text]}
        rate = text | {"pattern": rates.PATTERN}
        both = _mapping({"rate": rate, "burst": burst}, "rate")
        about = {"description": "100/second, 10mbit, 5 mbytes/second burst 64k"}
        limit = _mapping({"limit": {"anyOf": [rate, both], **about}, "burst": burst}, "limit")
        names = [
            _mapping(
                {action: {"description": what, **text, **_NAME_SCHEMA.get(action, {})}}, action
            )
            for action, what in NAMING.items()
        ]
        return {"anyOf": [{"enum": list(PLAIN)}, limit, *names]}


def _mapping(properties: dict[str, Any], required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [required],
        "additionalProperties": False,
    }


ACTION: Final = ActionReader()


def _name(action: Action, what: str, raw: object) -> str:
    pattern = _SOCKETS if action == "userspace" else _ANYTHING
    if not isinstance(raw, str) or not pattern.fullmatch(raw):
        quote = f' (write "{shown(raw)}")' if isinstance(raw, int) else ""
        message = f"{action} must be {what}, not {shown(raw) or 'nothing'}{quote}"
        raise leaf.Inside(message, action)
    return raw


def _hint(word: str) -> str:
    """The action that is meant: nearly written so, or called so by other tools."""
    meant = _ELSEWHERE.get(word.lower())
    return f" (did you mean {meant}?)" if meant else nearest(word, ACTIONS)


def _rate(raw: Mapping[Any, Any], path: tuple[str, ...], beside: tuple[str, ...] = ()) -> Rate:
    """The rate under the last key of `path`, and its burst: in it, or under `beside`."""
    try:
        speed = rates.speed(raw[path[-1]])
    except ValueError as error:
        raise leaf.Inside(f"{path[-1]} {error}", *path) from None
    where = (*beside, "burst") if "burst" in raw else path
    if "burst" in raw and speed.burst is not None:
        raise leaf.Inside("limit has its burst twice", *where, at_key=True)
    try:
        return speed.with_burst(raw.get("burst", speed.burst), said="burst" in raw)
    except ValueError as error:
        raise leaf.Inside(f"burst {error}", *where) from None
