"""A rule's `match` to conditions: values, negation, sets, and what can never hold together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, field
from itertools import combinations

from xdpctl.errors import Problem
from xdpctl.topology import leaf
from xdpctl.topology.form import Span
from xdpctl.topology.key_forms import DeviceName
from xdpctl.topology.keys import KEYS, Key, exclude
from xdpctl.topology.model import COMPOSITE, Condition, Location, Set
from xdpctl.topology.raw import shown
from xdpctl.topology.set_types import MEMBERS
from xdpctl.topology.shape import problem
from xdpctl.topology.tree import Mapping, Node, Scalar, Sequence, plain

_COMPOSED = re.compile(r"\s*[,+]\s*|\s+\.\s+")
"""What stands between the keys of a composite: a comma, a plus, or nft's dot."""
_LONGEST = 200
"""Characters of a composite's keys."""


class Sets:
    """The sets of all files; `broken` are those that are there, but wrong."""

    def __init__(
        self,
        known: AbstractMapping[str, Set],
        broken: frozenset[str] = frozenset(),
        *,
        complete: bool = True,
    ) -> None:
        self._known = known
        self._broken = broken
        self._complete = complete
        self._hints = leaf.Hints((*known, *broken))

    def find(self, text: str) -> Set | None:
        """The set of `@name`; None if nothing can be said of it. ValueError if there is none."""
        name = text.removeprefix("@").strip()
        found = self._known.get(name)
        if not name:
            raise ValueError("has an @ without the name of a set")
        if found is None and name not in self._broken and self._complete:
            raise ValueError(f"names an unknown set @{name}{self._hints.near(name)}")
        return found


@dataclass(slots=True)
class _Values:
    """What one key is compared with. `skipped`: a set that is wrong itself was among it."""

    spans: list[Span] = field(default_factory=list)
    sets: list[Set] = field(default_factory=list)
    devices: list[str] = field(default_factory=list)
    skipped: bool = False


class Reader:
    """Reads the matches of a file's rules; adds what is wrong to `problems`."""

    def __init__(self, file: str, sets: Sets, problems: list[Problem]) -> None:
        self._file = file
        self._sets = sets
        self._problems = problems

    def match(self, rule: Node) -> tuple[Condition, ...]:
        """The conditions of a rule's `match`."""
        match = rule.get("match") if isinstance(rule, Mapping) else None
        if not isinstance(match, Mapping):
            return ()
        conditions: list[Condition] = []
        for name, (key_node, value) in match.entries.items():
            condition = self._entry(name, key_node, value)
            if condition is not None:
                conditions.append(condition)
                self._conflicts(key_node, condition, conditions[:-1])
        return tuple(conditions)

    def _entry(self, name: str, key_node: Scalar, value: Node) -> Condition | None:
        key = KEYS.get(name)
        if key is not None:
            return self._condition(key, value)
        composed = tuple(_COMPOSED.split(name.strip())) if len(name) <= _LONGEST else ()
        if name == COMPOSITE or len(composed) > 1:
            return self._composite(() if name == COMPOSITE else composed, key_node, value)
        inner = next(iter(value.entries), "") if isinstance(value, Mapping) else ""
        self._problem(key_node, f"unknown match key {name!r}{_hint(name, inner)}")
        return None

    def _problem(self, node: Node, message: str) -> None:
        self._problems.append(problem(Location(self._file, node.line, node.column), message))

    def _conflicts(self, node: Scalar, new: Condition, others: list[Condition]) -> None:
        """The first other key before this one that no frame can meet together with it."""
        pairs = [(one, key) for other in others for one in other.keys for key in new.keys]
        pairs += combinations(new.keys, 2)
        for one, key in pairs:
            if exclude(KEYS[one], KEYS[key]):
                self._problem(node, f"no frame has both {one} and {key}")
                return

    def _condition(self, key: Key, node: Node) -> Condition | None:
        """One key's values, all of them plain or all negated."""
        items = node.items if isinstance(node, Sequence) else [node]
        if not items:
            self._problem(node, f"{key.name} has an empty list: nothing would match")
            return None
        if isinstance(node, Sequence) and not key.form.several:
            self._problem(node, f"{key.name} takes one value, not a list")
            return None
        values, negations, before = _Values(), set[bool](), len(self._problems)
        for item in items:
            try:
                negations.add(self._value(key, item, values))
            except ValueError as error:
                self._problem(item, f"{key.name} {error}")
                continue
            if len(negations) > 1:
                mixed = "either all values of a list start with ! or none"
                self._problem(item, f"{key.name}: {mixed}")
                return None
        if len(self._problems) > before or values.skipped:
            return None
        negated = negations == {True}
        return key.condition(
            values.spans, negated=negated, sets=values.sets, devices=values.devices
        )

    def _value(self, key: Key, node: Node, values: _Values) -> bool:
        """Add one value; whether it is negated."""
        raw = node.value if isinstance(node, Scalar) else plain(node)
        negated, text = _negation(raw)
        if negated and str(text).startswith("!"):
            raise ValueError(f"is negated twice: {raw}")
        if text is not None and text.startswith("@"):
            found = self._sets.find(text)
            if found is None:
                values.skipped = True
            else:
                _check_type(key, found)
                values.sets.append(found)
        elif isinstance(key.form, DeviceName) and text not in ("", "none"):
            values.devices.append(leaf.REFERENCE.parse(text if isinstance(raw, str) else raw))
        else:
            values.spans += key.parse(text if negated else raw)
        return negated

    def _composite(self, keys: tuple[str, ...], key: Scalar, node: Node) -> Condition | None:
        """`set: "@pairs"`, or the keys of the set with the set beside them."""
        negated, text = _negation(node.value if isinstance(node, Scalar) else None)
        unknown = [name for name in keys if name not in KEYS]
        if unknown:
            message = f"unknown match key {unknown[0]!r}{_hint(unknown[0], '')}"
            self._problem(key, message)
            return None
        if text is None or not text.startswith("@"):
            raw = shown(node.value if isinstance(node, Scalar) else plain(node)) or "nothing"
            self._problem(node, f'{key.text} must be a composite set ("@name"), not {raw}')
            return None
        try:
            found = self._sets.find(text)
            if found is not None:
                _check_keys(keys, found)
        except ValueError as error:
            self._problem(node, f"{key.text} {error}")
            return None
        return None if found is None else Condition(COMPOSITE, (), negated, sets=(found,))


def _hint(name: str, inner: str) -> str:
    """The key that is meant: `tcp: {dport: …}`, `dport`, `ip.saddr` or nearly written so."""
    name = f"{name}.{inner}" if inner else name
    for key in KEYS:
        if name.lower() in (key, key.partition(".")[2], key.replace("ip4", "ip")):
            return f" (did you mean {key}?)"
    return leaf.guess(name, (*KEYS, COMPOSITE))


def _negation(raw: object) -> tuple[bool, str | None]:
    """Whether a value is negated, and its text without `!`; None if it is none."""
    if not isinstance(raw, str):
        return False, None if raw is None or isinstance(raw, bool | list | dict) else str(raw)
    text = raw.strip()
    return (True, text[1:].strip()) if text.startswith("!") else (False, text)


def _check_type(key: Key, found: Set) -> None:
    if found.keys:
        raise ValueError(
            f"cannot be in @{found.name}, a set of {', '.join(found.keys)}: "
            f'write set: "@{found.name}"'
        )
    if key.name not in MEMBERS[found.type]:
        takes = [kind for kind, members in MEMBERS.items() if key.name in members]
        wanted = f"a set of {takes[0]}" if takes else "values, not a set"
        raise ValueError(f"takes {wanted}; @{found.name} has the type {found.type}")


def _check_keys(keys: tuple[str, ...], found: Set) -> None:
    if not found.keys:
        example = MEMBERS[found.type][0]
        raise ValueError(
            f"takes a composite set; @{found.name} has the type {found.type}: "
            f'write {example}: "@{found.name}" or the like'
        )
    if keys and set(keys) != set(found.keys):
        raise ValueError(f"has other keys than @{found.name} ({', '.join(found.keys)})")


def devices(conditions: tuple[Condition, ...]) -> Iterator[str]:
    """The devices that the conditions name."""
    for condition in conditions:
        yield from condition.devices
