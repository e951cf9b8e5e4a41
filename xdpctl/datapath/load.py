"""From descriptions to loaded programs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Final

from xdpctl.bpf import btf, maps, program
from xdpctl.bpf.asm import Assembler
from xdpctl.bpf.maps import Map, MapType
from xdpctl.datapath import backstop, bodies, emit, map_names, pipeline, pipeline_part
from xdpctl.datapath.bodies import Body, Parts, Rows
from xdpctl.datapath.description import Description
from xdpctl.datapath.layout import INDEX, META
from xdpctl.datapath.pipeline_maps import PipelineMaps
from xdpctl.errors import UnsupportedError, VerifierError
from xdpctl.host.state import AWAY
from xdpctl.policy.bindings import Bindings
from xdpctl.policy.parse import Hook
from xdpctl.record import record
from xdpctl.topology.closure import closure
from xdpctl.topology.model import Location, Policy

_TOO_MUCH: Final = re.compile("too complex|too large|Argument list too long")
_SMALLER: Final = (
    "the policy is more than this kernel verifies: write long lists of values as a set, which may "
    "have a million entries"
)


@record
class Loaded:
    """A program, and the program array of its parts where it has any.

    The array must be pinned before the program runs: it loses its members with its last user
    reference, which a program is not (kernel/bpf/syscall.c, bpf_map_put_uref).
    """

    program: program.Program
    parts: Map | None = None

    def close(self) -> None:
        """Give the descriptors back."""
        self.program.close()
        if self.parts is not None:
            self.parts.close()


def load_pipeline(
    described: Description,
    policies: Mapping[str, Policy],
    opened: PipelineMaps,
    sources: Mapping[str, str],
) -> Loaded:
    """The root's program, its description and all its maps bound to its life."""
    bindings = opened.bindings(described, Hook.XDP)
    native = described.mode == "native"  # else devices' policies run at the devices alone
    found = bodies.bodies(emit.stages(policies, described.policies), bindings) if native else []
    with rows_of(found) as rows:
        fds = pipeline_part.PipelineMaps(
            opened.slots.fd, opened.displacements.fd, opened.counted(described), rows,
            bindings, opened.ways(described), objects=opened.objects,
            deliver=opened.switch.deliver.fd if opened.switch is not None and native else 0,
        )  # fmt: skip
        shown, lower = _fitting(described, policies, found, bindings)
        devices = bodies.used(found, described.levels.devices)
        parts = load_parts(
            devices,
            policies,
            bindings,
            lambda part, _: pipeline_part.assemble_part(
                part, fds, described.nonce, deep=described.deep
            ),
            sources,
            apart=bool(lower) and not bodies.fit([*lower, *devices], bindings),
        )
        asm = pipeline.assemble(
            shown, policies, found, replace(fds, parts=parts.named if parts else None)
        )
        loaded = load_one(asm, program.Flavour.XDP, map_names.PIPELINE, sources, policies.values())
    value = replace(described, objects=opened.objects.loaded_maps(policies)).encode()
    with maps.create(MapType.ARRAY, 4, len(value), 1, META) as meta:
        meta.update(INDEX.pack(0), value)
        loaded.bind(meta.fd)
    for each in opened.all():
        loaded.bind(each.fd)  # those it does not name itself, too: they are found through it
    return Loaded(loaded, parts.array if parts else None)


def _fitting(
    described: Description,
    policies: Mapping[str, Policy],
    found: Sequence[Body],
    bindings: Bindings,
) -> tuple[Description, list[Body]]:
    """What the pipeline is to run, and the bodies that come before those of the devices.

    They stand in one program, as there is no way back from a part. Where those of VLANs and bridges
    have no room there, the pipeline does without: frames of a VLAN with a policy go up unmarked,
    to the devices' own backstops. Raises UnsupportedError where those of root and ports have none.
    """
    first = {port.policy for port in described.ports.values()} | {described.root_policy or ""}
    levels = described.levels
    inner = {name for tag in levels.tags for name in tag} | set(levels.bridges)
    lower = bodies.used(found, first | inner) if first | inner != {""} else []
    if bodies.fit(lower, bindings):
        return described, lower
    lower = bodies.used(found, first)
    if described.ports and not bodies.fit(lower, bindings):
        policy = policies[next(iter(described.ports.values())).policy]
        raise UnsupportedError(
            f"{policy.location}: the policies of {described.root} and its ports are more than one "
            "program has room for",
            hint=_SMALLER,
        )
    without = replace(levels, tags=tuple(() for _ in levels.tags), bridges=())
    return replace(described, levels=without), lower


def load_police(
    described: Description,
    policies: Mapping[str, Policy],
    opened: PipelineMaps,
    sources: Mapping[str, str],
    port: int | None = None,
    *,
    away: bool = False,
) -> Loaded:
    """The program behind the devices' gates; `port` and `away`: see BackstopMaps."""
    bindings = replace(opened.bindings(described, Hook.TC), place=AWAY if away else 0)
    found = bodies.bodies(emit.stages(policies, described.policies), bindings)
    with rows_of(found) as rows:
        fds = backstop.BackstopMaps(
            opened.entries.fd, opened.counted(described), rows, bindings,
            replace(opened.ways(described), closed=away),
            port=port, objects=opened.objects, away=away,
        )  # fmt: skip
        parts = load_parts(
            found,
            policies,
            bindings,
            lambda part, _: backstop.assemble_part(part, fds, described.nonce),
            sources,
        )
        asm = backstop.assemble_police(
            described, found, replace(fds, parts=parts.named if parts else None)
        )
        name = "xdpctl_away" if away else "xdpctl_police"
        loaded = load_one(asm, program.Flavour.TC, name, sources, policies.values())
    return Loaded(loaded, parts.array if parts else None)


@contextmanager
def rows_of(found: Sequence[Body]) -> Iterator[Rows]:
    """The map of the policies' rows, which lives on in the programs that name it."""
    rows, made = bodies.create_rows(found)
    with made or nullcontext():
        yield rows


@record
class LoadedParts:
    """The array of parts, and what the program that hands over to them must know."""

    array: Map
    named: Parts


def load_parts(
    found: Sequence[Body],
    policies: Mapping[str, Policy],
    bindings: Bindings,
    assemble: Callable[[Sequence[Body], Parts], Assembler],
    sources: Mapping[str, str],
    *,
    apart: bool = False,
) -> LoadedParts | None:
    """None where all policies fit one program; `apart`: they do not, beside what else is there.

    `assemble` is told all the parts, too, for those that go on to each other.
    """
    split = bodies.parts(found, bindings)
    if not (found and apart) and not bodies.is_split(split):
        return None
    flavour = program.Flavour.XDP if bindings.hook is Hook.XDP else program.Flavour.TC
    array = maps.create(MapType.PROG_ARRAY, 4, 4, len(split), map_names.PARTS)
    named = Parts(array.fd, split)
    for number, part in enumerate(split):
        with load_one(
            assemble(part, named), flavour, f"xdpctl_part{number}", sources, policies.values()
        ) as each:
            array.update(INDEX.pack(number), INDEX.pack(each.fd))
    return LoadedParts(array, named)


def load_gate(opened: PipelineMaps, described: Description) -> Loaded:
    """The program at every device."""
    asm = backstop.assemble_gate(opened.programs.fd, described)
    return Loaded(load_one(asm, program.Flavour.TC, "xdpctl_gate", {}))


def load_one(
    asm: Assembler,
    flavour: program.Flavour,
    name: str,
    sources: Mapping[str, str],
    policies: Iterable[Policy] = (),
) -> program.Program:
    """Load with the source lines that the assembler noted; a refusal names the rule."""
    texts = {**sources, **asm.sources}
    debug = btf.describe(name, asm.lines, texts, asm.functions)
    try:
        return program.load(asm.assemble(), flavour, name, debug)
    except VerifierError as error:
        where = blamed(asm.lines, error.instruction, policies)
        if where is None:
            raise
        operation = f"{where}: refused by the kernel's verifier"
        hint = _SMALLER if _TOO_MUCH.search(error.reason) else error.hint
        raise VerifierError(
            operation, error.errno, error.reason, error.instruction, hint
        ) from error


def blamed(
    lines: Sequence[tuple[int, Location]], instruction: int | None, policies: Iterable[Policy]
) -> str | None:
    """The place and the rule that an instruction was made from; None if it is from no policy."""
    before = [place for index, place in lines if instruction is not None and index <= instruction]
    for policy in policies:
        for one in closure(policy):
            for rule in one.rules:
                if before and rule.location == before[-1]:
                    return f"{rule.location}: rule {rule.name} of policy {one.name}"
            if before and one.location == before[-1]:
                return f"{one.location}: policy {one.name}"
    return None
