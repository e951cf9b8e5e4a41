"""The document of `show` as a tree of devices with their counters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from xdpctl.cli.console import Paint
from xdpctl.cli.rendering import action_text

Document = Mapping[str, Any]

_VERDICT_STYLES = {"pass": "green", "drop": "red", "tx": "yellow", "redirect": "yellow"}
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def show_text(document: Document, paint: Paint) -> str:
    """One line a device, indented by its place in the stack; below it its rules' counters."""
    devices: dict[str, Document] = document["devices"]
    lines = [paint(f"topology {document['topology']}", "bold")]
    if not devices:
        lines.append("no devices")
    rows = list(_walk(devices))
    width = max((len(prefix + name) for prefix, _, name in rows), default=0)
    for prefix, below, name in rows:
        lines += _device_lines(name, devices[name], prefix, below, width, paint)
    lines += _drift_lines(document["drift"], paint)
    return "\n".join(lines)


def size_text(count: int) -> str:
    """Bytes with three significant digits: 999 B, 1.5 kB, 12.3 MB."""
    size, unit = float(count), 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.3g} {_UNITS[unit]}"


def _walk(devices: Mapping[str, Document]) -> Iterator[tuple[str, str, str]]:
    """(what stands before the name, what stands before its rules, name), lower devices first."""
    upper: dict[str | None, list[str]] = {}
    for name, device in devices.items():
        parent = device["parent"]
        upper.setdefault(parent if parent in devices else None, []).append(name)

    def below(lower: str | None, indent: str) -> Iterator[tuple[str, str, str]]:
        names = upper.get(lower, [])
        for name in names:
            last = name == names[-1]
            branch, rest = ("", "") if lower is None else ("└─ ", "   ") if last else ("├─ ", "│  ")
            yield indent + branch, indent + rest + ("│  " if name in upper else "   "), name
            yield from below(name, indent + rest)

    return below(None, "")


def _device_lines(
    name: str, device: Document, prefix: str, below: str, width: int, paint: Paint
) -> Iterator[str]:
    xdp = device["xdp"]
    padding = " " * (width - len(prefix + name))
    line = f"{prefix}{paint(name, 'bold')}{padding}  {device['kind']:<9} {device['state']:<5}"
    where = f"  in network namespace {device['netns']}" if "netns" in device else ""
    if xdp["mode"] == "none" and not xdp["policy"]:
        yield line.rstrip() + where
        return
    verdicts = [
        paint(f"{verdict} {count['packets']}", _VERDICT_STYLES[verdict])
        for verdict, count in xdp["verdicts"].items()
        if count["packets"] or verdict in {"pass", "drop"}
    ]
    line += f" {xdp['mode']:<11} {xdp['policy'] or '-':<12} {'  '.join(verdicts)}"
    yield line.rstrip() + where
    yield from _rule_lines([*xdp["rules"], *_others(xdp)], below, paint)
    egress = xdp.get("egress")
    if egress is not None:
        verdicts = [f"{word} {egress['verdicts'][word]['packets']}" for word in ("pass", "drop")]
        yield f"{below}egress  {egress['policy']:<12} {'  '.join(verdicts)}"
        yield from _rule_lines(egress["rules"], below, paint)


def _others(xdp: Document) -> Iterator[Document]:
    """What was decided by no rule, if there was any: it stands beside them."""
    for name in ("malformed", "flooded", "unknown"):
        count = xdp.get(name, {})
        if count.get("packets"):
            yield {"name": f"({name})", **count}


def _rule_lines(rules: list[Document], below: str, paint: Paint) -> Iterator[str]:
    names = [_rule_name(rule) for rule in rules]
    rule_width = max(map(len, names), default=0)
    for called, rule in zip(names, rules, strict=True):
        counted = f"{rule['packets']:>10} packets {size_text(rule['bytes']):>9}"
        over = f"  {rule['over']['packets']} over the limit" if "over" in rule else ""
        yield f"{below}  {paint(called.ljust(rule_width), 'dim')} {counted}{over}"


def _rule_name(rule: Document) -> str:
    """A rule of another policy, which the device's own leads to, stands with that one's name."""
    return f"{rule['policy']}: {rule['name']}" if "policy" in rule else str(rule["name"])


def _drift_lines(drift: list[Document], paint: Paint) -> Iterator[str]:
    if drift:
        yield "\n" + paint(f"drift ({len(drift)}):", "yellow")
    for entry in drift:
        yield action_text(entry, paint)
