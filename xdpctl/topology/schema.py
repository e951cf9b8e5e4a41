"""The JSON Schema (draft-7) of a topology file, from the models and the kinds' tables.

`python -m xdpctl.topology.schema` writes it; schemas/topology.v1.json is what it wrote.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from pydantic import TypeAdapter

from xdpctl.topology import cases, leaf, packet, sets, spec
from xdpctl.topology.kinds import KINDS, spelled, table
from xdpctl.topology.property import Kind, Property

TITLE = "xdpctl topology"
DRAFT = "http://json-schema.org/draft-07/schema#"


def schema() -> dict[str, Any]:
    """The schema of a file. A file may be a part of a topology, so no top-level key is required."""
    definitions: dict[str, Any] = {}
    top = _of(spec.file_adapter(), definitions)
    top["properties"]["devices"] = {
        "type": ["object", "null"],
        "description": "Devices by name; name[1-100] is one for each number.",
        "additionalProperties": {"$ref": "#/definitions/device"},
    }
    top["properties"]["policies"] = {
        "type": ["object", "null"],
        "description": "Policies by name.",
        "propertyNames": {"pattern": leaf.POLICY_NAME.schema()["pattern"]},
        "additionalProperties": _of(spec.policy_adapter(), definitions),
    }
    top["properties"]["sets"] = {
        "type": ["object", "null"],
        "description": 'Sets of values by name: "@name" in a match.',
        "propertyNames": {"pattern": leaf.POLICY_NAME.schema()["pattern"]},
        "additionalProperties": _of(sets.adapter(), definitions)
        | {"required": ["type"], "anyOf": [{"required": ["entries"]}, {"required": ["file"]}]},
    }
    top["properties"]["tests"] = _tests(definitions)
    definitions["device"] = _device(definitions)
    _share(definitions)
    order = {"$schema": DRAFT, "title": TITLE, "description": "A topology of XDP policies."}
    return order | top | {"definitions": dict(sorted(definitions.items()))}


def text() -> str:
    """The schema as it stands in the file."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _tests(definitions: dict[str, Any]) -> dict[str, Any]:
    """Tests. A field of a packet may also be written as `tcp.dport`, or nothing for a layer."""
    items = _of(cases.adapter(), definitions)
    fields = definitions["packet"]["properties"]
    for layer, rows in packet.LAYERS.items():
        fields[layer] = {"anyOf": [fields[layer], {"type": "null"}]}
        inner = f"#/definitions/packet-{layer}/properties"
        fields |= {f"{layer}.{name}": {"$ref": f"{inner}/{name}"} for name in rows}
    fields |= {f"vlan.{name}": reader.schema() for name, reader in packet.TAG.items()}
    return {
        "type": ["array", "null"],
        "description": "Packets, and what must become of them.",
        "items": items,
    }


def _device(definitions: dict[str, Any]) -> dict[str, Any]:
    """Any device: the kind says which keys it may have."""
    choices = []
    for kind in KINDS.values():
        definitions[f"{kind.name}-device"] = _kind(kind, definitions)
        choices.append(
            {
                "if": {"properties": {"kind": {"const": kind.name}}, "required": ["kind"]},
                "then": {"$ref": f"#/definitions/{kind.name}-device"},
            }
        )
    kinds = {"enum": list(KINDS), "description": "What the device is."}
    return {
        "type": "object",
        "properties": {"kind": kinds},
        "required": ["kind"],
        "allOf": choices,
    }


def _kind(kind: Kind, definitions: dict[str, Any]) -> dict[str, Any]:
    """A device of one kind. Other spellings of a property are patterns: not offered, but taken."""
    found = _of(spec.device_adapter(kind.name), definitions)
    patterns: dict[str, Any] = {}
    for row in table(kind.name).values():
        for pattern in _other_spellings(row):
            patterns[pattern] = {"$ref": f"#/definitions/{kind.name}-device/properties/{row.name}"}
    if patterns:
        found["patternProperties"] = patterns
    required = ["kind", *(["parent"] if kind.has_parent else [])]
    required += [row.name for row in kind.properties if row.required and not row.unless]
    return found | {"description": kind.doc, "required": required}


def _other_spellings(row: Property) -> list[str]:
    names = [name for name in (row.name, *row.aliases) if "_" in spelled(name)]
    found = [f"^{spelled(name).replace('_', '[-_]')}$" for name in names]
    return found + [f"^{name}$" for name in row.aliases if name not in names]


def _share(definitions: dict[str, Any]) -> None:
    """Puts what several kinds have alike among the definitions."""
    properties = [definitions[f"{kind}-device"]["properties"] for kind in KINDS]
    for name in {name for one in properties for name in one} - {"kind", "xdp"}:
        alike = [one for one in properties if one.get(name) == properties[-1].get(name)]
        if len(alike) > 1 and name in properties[-1]:
            definitions[name] = properties[-1][name]
            for one in alike:
                one[name] = {"$ref": f"#/definitions/{name}"}


def _of(adapter: TypeAdapter[Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """An adapter's schema as draft-7 has it, its definitions put among the others."""
    found = _converted(adapter.json_schema())
    definitions.update(found.pop("definitions", {}))
    assert isinstance(found, dict)
    return found


def _converted(node: Any) -> Any:
    """2020-12 to draft-7: where definitions stand. Titles and null defaults say nothing."""
    if isinstance(node, list):
        return [_converted(item) for item in node]
    if not isinstance(node, dict):
        return node
    found = {}
    for key, value in node.items():
        if (key == "title" and isinstance(value, str)) or (key == "default" and value is None):
            continue
        if key == "$ref":
            found[key] = re.sub(r"^#/\$defs/", "#/definitions/", value)
        else:
            found["definitions" if key == "$defs" else key] = _converted(value)
    if "$ref" in found:  # draft-7 ignores what stands beside it
        return {"$ref": found["$ref"]}
    return found


if __name__ == "__main__":
    sys.stdout.write(text())
