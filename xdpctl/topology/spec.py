"""The file's shape: pydantic models of what stands where, strict about keys on every level.

They check types and names only; what is meant is checked when devices and policies are all known
(xdpctl.topology.checks). The models of device kinds are made from the kinds' tables.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, WithJsonSchema
from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypedDict

from xdpctl.record import record
from xdpctl.topology import codecs, keys, leaf
from xdpctl.topology.actions import ACTION, Act
from xdpctl.topology.kinds import KINDS, port_table, table
from xdpctl.topology.kinds.veth import Peer
from xdpctl.topology.model import Flood, Verdict, XdpMode
from xdpctl.topology.property import Kind, Property

BASED = ("address", "id")
"""Properties that a range may count up."""


class Reader(Protocol):
    """What leaf readers and codecs have in common."""

    def parse(self, raw: object, /) -> Any:
        """Canonical value or ValueError."""

    def schema(self) -> dict[str, Any]:
        """JSON Schema of what `parse` takes."""


@record
class By:
    """Annotates a field: `reader` reads it and brings its schema."""

    reader: Reader
    doc: str = ""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.reader.parse)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return self.reader.schema() | ({"description": self.doc} if self.doc else {})


class Strict(BaseModel):
    """Base of all models: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class XdpSpec(Strict):
    """The device's policy and how the pipeline treats it."""

    policy: Annotated[str | None, By(leaf.POLICY_NAME, "The policy of this device's frames.")] = (
        None
    )
    egress: Annotated[
        str | None,
        By(leaf.POLICY_NAME, "With deliver: redirect: the policy of what comes from the device."),
    ] = None
    enabled: Annotated[
        bool, By(leaf.SWITCH, "false: this device and all above it go without XDP.")
    ] = True
    mode: Annotated[
        XdpMode, By(leaf.MODE, "On a root: which of the driver's hooks; auto: native if it can.")
    ] = "auto"
    unknown: Annotated[Verdict, By(leaf.VERDICT, "On a root: unicast for no stacked device.")] = (
        "pass"
    )
    flood: Annotated[
        Flood, By(leaf.FLOOD, "On a stacked device: what broadcast and multicast get.")
    ] = "enforce"


class MatchSpec(Strict):
    """How to find a physical device other than by its name."""

    mac: Annotated[str | None, By(leaf.MAC, "Its MAC address.")] = None
    driver: Annotated[
        str | None, By(leaf.PLAIN_TEXT, "Its driver's name, as `ethtool -i` shows it.")
    ] = None
    path: Annotated[str | None, By(leaf.PLAIN_TEXT, "Its place on the bus, as udev's ID_PATH.")] = (
        None
    )


class RuleSpec(Strict):
    """One rule: all of `match` must hold; without `match` it holds for every frame."""

    name: Annotated[str | None, By(leaf.RULE_NAME, "Its name; left out: its number from 1.")] = None
    match: Annotated[dict[str, Any], WithJsonSchema(keys.schema())] = {}
    action: Annotated[Act, By(ACTION, "What the rule does with the frames that match.")]


class PolicySpec(Strict):
    """Rules in order: the first that matches decides. Or a program of an ELF object."""

    default: Annotated[
        Verdict | None,
        By(leaf.VERDICT, "What a frame gets that no rule decides; pass, of an object drop."),
    ] = None
    rules: list[RuleSpec] | None = None
    object: Annotated[
        str | None, By(leaf.PLAIN_TEXT, "An ELF object of BPF programs, beside this file.")
    ] = None
    program: Annotated[
        str | None, By(leaf.PLAIN_TEXT, "Its XDP program; left out: the only one.")
    ] = None
    tc: Annotated[
        str | None,
        By(leaf.PLAIN_TEXT, "Its tc program, for frames that do not come from the wire."),
    ] = None
    maps: Annotated[
        dict[str, str] | None,
        Field(description="Where its maps are pinned, by name: they outlive the program."),
    ] = None


class FileSpec(Strict):
    """One topology file, or a part of one."""

    version: Annotated[int | None, By(leaf.VERSION, "The version of this format.")] = None
    name: Annotated[str | None, By(leaf.NAME, "The topology's name: the label on all it owns.")] = (
        None
    )
    devices: dict[str, Any] | None = None
    policies: dict[str, Any] | None = None
    sets: dict[str, Any] | None = None
    tests: list[Any] | None = None


def is_reference(row: Property) -> bool:
    """Whether the property names another device: in a range it may be a range as well."""
    return isinstance(row.codec, codecs.Reference | Peer)


def reader(row: Property) -> Reader:
    """What reads the property: its codec, or that with what a range adds."""
    if is_reference(row):
        return leaf.REFERENCE
    return leaf.Based(row.codec) if row.name in BASED else row.codec


def device_fields(kind: Kind) -> dict[str, Any]:
    """The annotation of every key of a device of this kind."""
    fields = _fixed_fields(kind)
    for row in table(kind.name).values():
        fields[row.name] = Annotated[Any, By(reader(row), row.doc)]
    return fields


def _fixed_fields(kind: Kind) -> dict[str, Any]:
    """Those that are no properties."""
    fields: dict[str, Any] = {"kind": Annotated[str, WithJsonSchema({"const": kind.name})]}
    if kind.has_parent is not False:
        below = "The root whose frames it takes." if kind.delivers else "The device below."
        fields["parent"] = Annotated[Any, By(leaf.REFERENCE, below)]
    if kind.delivers:
        doc = "redirect: frames for `address` go from the parent's driver straight into it."
        fields["deliver"] = Annotated[Any, By(leaf.DELIVER, doc)]
    if kind.has_ports:
        fields["ports"] = Annotated[Any, WithJsonSchema(ports_schema(kind))]
    if kind.name == "physical":
        fields["match"] = MatchSpec
    if kind.movable:
        fields["netns"] = Annotated[
            Any, By(leaf.NETNS, "The network namespace that it lives in, by its name (ip netns).")
        ]
    fields["xdp"] = XdpSpec
    return fields


@cache
def device_keys(kind: str) -> tuple[str, ...]:
    """Every key that a device of this kind may have."""
    return tuple(_fixed_fields(KINDS[kind])) + tuple(table(kind))


def ports_schema(kind: Kind) -> dict[str, Any]:
    """`[eth1, eth2]`, `[eth1: {…}]` or `{eth1: {…}, eth2: }`."""
    own = {
        "type": ["object", "null"],
        "properties": {row.name: reader(row).schema() for row in kind.port_properties},
        "additionalProperties": False,
    }
    mapping = {"type": "object", "additionalProperties": own}
    name = leaf.REFERENCE.schema()
    items = {"anyOf": [name, mapping | {"minProperties": 1}]}
    return {
        "description": "The devices enslaved to it, each with its own properties if it has any.",
        "anyOf": [{"type": "array", "items": items}, mapping],
    }


@cache
def device_adapter(kind: str) -> TypeAdapter[dict[str, Any]]:
    """Validates a device of the kind; gives its canonical values, only of keys that are there."""
    return adapter(f"{kind} device", device_fields(KINDS[kind]))


@cache
def port_adapter(kind: str) -> TypeAdapter[dict[str, Any]]:
    """Validates what a port of such a device has of its own."""
    rows = port_table(kind).values()
    return adapter(
        f"{kind} port", {row.name: Annotated[Any, By(reader(row), row.doc)] for row in rows}
    )


@cache
def file_adapter() -> TypeAdapter[FileSpec]:
    """Validates the top of a file."""
    return TypeAdapter(FileSpec)


@cache
def policy_adapter() -> TypeAdapter[PolicySpec]:
    """Validates one policy."""
    return TypeAdapter(PolicySpec)


def adapter(name: str, fields: dict[str, Any]) -> TypeAdapter[dict[str, Any]]:
    """Validates a mapping of these keys, whose result has those that are there and no others."""
    return TypeAdapter(mapping(name, fields))


def mapping(name: str, fields: dict[str, Any]) -> Any:
    """The type of a mapping that may have these keys, and no others."""
    make: Any = TypedDict  # mypy takes it in class or literal form only
    shape = make(name, fields, total=False)
    shape.__pydantic_config__ = ConfigDict(extra="forbid")
    return shape
