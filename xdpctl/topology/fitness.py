"""Whether a program of a BPF object can be a stage: its section, its linkage, its license."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from xdpctl.topology.raw import nearest

if TYPE_CHECKING:
    from xdpctl.topology.elf import BpfObject

Hook = Literal["xdp", "tc"]

SECTIONS: Final[dict[str, Hook]] = {
    "xdp.frags": "xdp",
    "tc": "tc", "tc/ingress": "tc", "tcx/ingress": "tc",
    "classifier": "tc", "classifier/ingress": "tc", "action": "tc",
}  # fmt: skip
"""Names of sections whose programs can be a stage, and where."""

LICENSES: Final = frozenset({
    "GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL",
})  # fmt: skip
"""What the kernel takes for compatible (include/linux/license.h)."""

_WANTED: Final[dict[Hook, str]] = {"xdp": 'SEC("xdp.frags")', "tc": 'SEC("tc")'}
_FRAGS = (
    'write SEC("xdp.frags"), as frames may have more than one buffer '
    "(only the first lies between data and data_end; xdpctl_load_bytes reads all)"
)


def hook(section: str) -> Hook | None:
    """Where a program of that section runs as a stage; None for what can be none."""
    return SECTIONS.get(section.removeprefix("?"))  # `?` is libbpf's "do not load by default"


def companion(found: BpfObject, program: str) -> str | None:
    """The tc program that goes with an XDP one where the file names none: `<program>_tc`."""
    name = f"{program}_tc"
    return name if any(each.name == name for each in found.programs) else None


def objection(found: BpfObject, name: str, wanted: Hook) -> str | None:
    """Why the program can be no stage, with the fix, as a sentence that goes on after the file's
    name; None if it can.
    """
    program = next((each for each in found.programs if each.name == name), None)
    if program is None:
        return f"has no program {name}{_choice(found, name, wanted)}"
    section = program.section.removeprefix("?")
    if hook(section) != wanted:
        return f'has {name} in section "{section}": {_fix(section, wanted)}'
    if not program.is_global:
        return f"has {name} as a static function, which libbpf does not load: leave out `static`"
    if found.license not in LICENSES:
        told = f'the license "{found.license}"' if found.license else "no license"
        return (
            f"has {told}, but becomes part of a program under Dual BSD/GPL: "
            'write char LICENSE[] SEC("license") = "Dual BSD/GPL"; '
            "or another that the kernel takes for compatible with the GPL"
        )
    return None


def _choice(found: BpfObject, name: str, wanted: Hook) -> str:
    """The nearest program that would do, or all of them."""
    fit = tuple(each.name for each in found.programs if hook(each.section) == wanted)
    if not fit:
        return f" (nor any in {_WANTED[wanted]})"
    return nearest(name, fit) or f" (it has {', '.join(fit)})"


def _fix(section: str, wanted: Hook) -> str:
    kind = section.partition("/")[0]
    if wanted == "tc":
        return f"a program of the backstop stands in {_WANTED['tc']}"
    if kind in ("xdp", "xdp.frags") and section.endswith(("/devmap", "/cpumap")):
        return f"such a program runs from a map of devices or CPUs, a stage is {_WANTED['xdp']}"
    if kind.startswith("xdp"):
        return _FRAGS
    return f"a stage is an XDP program, {_WANTED['xdp']}"
