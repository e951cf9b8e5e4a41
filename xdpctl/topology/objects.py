"""`{object: FILE, program: NAME}`: a policy that is a user's own program; its file is looked into.

The object's name is relative to that of the topology file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from xdpctl.errors import Problem
from xdpctl.topology import fitness
from xdpctl.topology.draft import locate
from xdpctl.topology.leaf import guess
from xdpctl.topology.model import Location, UserProgram
from xdpctl.topology.rule_nodes import PolicyNode
from xdpctl.topology.shape import problem
from xdpctl.topology.source import STDIN
from xdpctl.topology.spec import PolicySpec

if TYPE_CHECKING:
    from xdpctl.topology import elf

BPFFS = "/sys/fs/bpf/"


def user_program(
    source: PolicyNode, found: PolicySpec, files: dict[str, str], problems: list[Problem]
) -> UserProgram | None:
    """The program of a policy that is one; None for a policy of rules, or if it is wrong."""
    given = found.model_fields_set & {"program", "tc", "maps"}
    if found.object is None:
        for key in sorted(given):
            _tell(source, problems, key, f"{key} is for a policy with an object")
        return None
    if "rules" in found.model_fields_set:
        _tell(source, problems, "rules", "rules beside an object, which decides by itself")
        return None
    from xdpctl.topology import elf  # few topologies have an object, whatever comes with it

    folder = "" if source.file == STDIN else os.path.dirname(source.file)
    path = os.path.join(folder, found.object)
    try:
        read = elf.read(path)
    except ValueError as error:
        _tell(source, problems, "object", f"object {found.object} {error}")
        return None
    files[path] = digest = hashlib.sha256(read.data).hexdigest()
    before = len(problems)
    program = found.program or _only(read)
    _judge(source, problems, read, "program", program, found.object)
    tc = found.tc or fitness.companion(read, program) or ""
    if tc:
        _judge(source, problems, read, "tc", tc, found.object)
    maps = found.maps or {}
    _check_maps(source, problems, read, maps, found.object)
    if len(problems) > before:
        return None
    return UserProgram(path, digest, program, tc, tuple(sorted(maps.items())))


def _only(read: elf.BpfObject) -> str:
    """The object's only XDP program; of several one must be named."""
    names = [each.name for each in read.programs if fitness.hook(each.section) == "xdp"]
    return names[0] if len(names) == 1 else ""


def _judge(
    source: PolicyNode,
    problems: list[Problem],
    read: elf.BpfObject,
    key: str,
    name: str,
    file: str,
) -> None:
    """Whether the program can be a stage."""
    if not name:
        names = [each.name for each in read.programs if fitness.hook(each.section) == "xdp"]
        listed = ", ".join(names) or 'none in SEC("xdp.frags")'
        _tell(source, problems, "object", f"program is missing: {file} has {listed}")
        return
    objection = fitness.objection(read, name, "xdp" if key == "program" else "tc")
    if objection is not None:
        _tell(source, problems, key, f"{key}: {file} {objection}")


def _check_maps(
    source: PolicyNode,
    problems: list[Problem],
    read: elf.BpfObject,
    maps: Mapping[str, str],
    file: str,
) -> None:
    for name, path in maps.items():
        if name not in read.maps:
            hint = guess(name, tuple(read.maps))
            _tell(source, problems, "maps", f"maps: {file} has no map {name!r}{hint}", name)
        elif not path.startswith(BPFFS) or "/../" in path or path.endswith("/"):
            message = f"maps: {name} must be a path below {BPFFS}, not {path}"
            _tell(source, problems, "maps", message, name)


def _tell(
    source: PolicyNode, problems: list[Problem], key: str, message: str, inner: str = ""
) -> None:
    """A problem at the value under the key, or where the policy begins."""
    path = (key, inner) if inner else (key,)
    place: Location = locate(source.file, source.key, source.node, path)
    problems.append(problem(place, message))
