"""Instructions that the pipeline and the backstop share: counting, and reaching a policy.

Registers in both: R6 context, R7 bytes of the frame, R8 counter block, R9 the policy's index once
it is known. The stack below -128 belongs to these programs; above it lies the header record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdpctl.bpf.asm import R1, R9, Assembler
from xdpctl.datapath.counter_map import CHUNK, CounterMap, emit_count
from xdpctl.datapath.layout import DEFAULT
from xdpctl.datapath.named import SOCKETS, sets_of, targets_of
from xdpctl.datapath.policy_layout import PolicyLayout
from xdpctl.datapath.user_objects import UserObjects, emit_program
from xdpctl.errors import UnsupportedError
from xdpctl.policy.bindings import Bindings
from xdpctl.policy.compiler import Ends, emit_policy
from xdpctl.topology.model import Policy

IFINDEX = -136
"""Stack: the ifindex of the device the frame is for (u32)."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A policy with the counters its rules have in this pipeline."""

    policy: Policy
    layout: PolicyLayout


def stages(policies: Mapping[str, Policy], layouts: Mapping[str, PolicyLayout]) -> list[Stage]:
    """All policies with their layouts, by index."""
    ordered = sorted(layouts.values(), key=lambda layout: layout.index)
    return [Stage(policies[layout.name], layout) for layout in ordered]


@dataclass(frozen=True, slots=True)
class Reach:
    """What policies need of the program that they stand in.

    objects   users' programs (None: where the instructions are only counted)
    """

    counters: CounterMap
    bindings: Bindings
    objects: UserObjects | None = None


def emit_stage(
    asm: Assembler, stage: Stage, reach: Reach, passed: str = "passed", prefix: str = ""
) -> None:
    """One policy's rules; ends at `passed` or another of Ends with the counter's number in R1."""
    if stage.policy.object is not None:
        _emit_object(asm, stage, reach, Ends(passed=passed))
        return
    emit_policy(
        asm,
        stage.policy,
        numbering=stage.layout.numbering,
        prefix=prefix or f"policy{stage.layout.index}",
        count=lambda inner, number: emit_count(inner, reach.counters, number),
        ends=Ends(passed=passed),
        bindings=reach.bindings,
    )


def _emit_object(asm: Assembler, stage: Stage, reach: Reach, ends: Ends) -> None:
    """A user's program; where it has none for the hook, the policy's default."""
    hook, layout = reach.bindings.hook, stage.layout
    program = reach.objects.embedded(stage.policy, hook) if reach.objects is not None else None
    asm.line(stage.policy.location)
    if program is None:
        asm.mov(R1, DEFAULT)
        asm.ja(ends.by_action[layout.default])
        return
    counters = {rule.name: rule.counter for rule in layout.rules}
    emit_program(asm, user_label(stage), hook, counters, ends)


def user_label(stage: Stage) -> str:
    """Where the user's program of a stage stands."""
    return f"user{stage.layout.index}"


def embed_programs(asm: Assembler, found: Sequence[Stage], reach: Reach) -> None:
    """The users' programs that are called, behind all of our own."""
    for stage in found:
        label = user_label(stage)
        if stage.policy.object is None or reach.objects is None or not asm.is_used(label):
            continue
        program = reach.objects.embedded(stage.policy, reach.bindings.hook)
        if program is not None:
            asm.embed(label, program.code, program.functions, program.lines)
            asm.sources.update(program.sources)


MOST_MAPS = 48
"""Sets and maps of sockets that one program looks into: the kernel takes 64 maps (MAX_USED_MAPS),
of which a program has up to ten of its own."""


def _maps_of(policy: Policy) -> set[str]:
    return {*sets_of([policy]), *(key for key in targets_of([policy]) if key.startswith(SOCKETS))}


ROOM = 16_000
"""Instructions of policies in one program: half of what a jump's 16 bits reach."""


def parts(found: Sequence[Stage], bindings: Bindings) -> list[list[Stage]]:
    """Split the policies into programs that jumps can cross, in the order of their index.

    One part: all policies stand in the pipeline itself. More: each part is a program of its own,
    reached by a tail call with a constant index, which the JIT makes a direct jump. A user's
    program has a part for itself.
    """
    split: list[list[Stage]] = [[]]
    filled, named = 0, set[str]()
    for stage in found:
        scratch = Assembler()
        emit_stage(scratch, stage, Reach(CounterMap(0, CHUNK), bindings))
        size = ROOM if stage.policy.object is not None else len(scratch)
        own = _maps_of(stage.policy)
        if len(own) > MOST_MAPS:
            raise UnsupportedError(
                f"{stage.policy.location}: policy {stage.policy.name} and what it leads to name "
                f"{len(own)} sets and sockets' maps: at most {MOST_MAPS}, "
                "as the kernel takes 64 maps a program"
            )
        if split[-1] and (filled + size > ROOM or len(named | own) > MOST_MAPS):
            split.append([])
            filled, named = 0, set()
        split[-1].append(stage)
        filled += size
        named |= own
    return split


@dataclass(frozen=True, slots=True)
class Parts:
    """A program array, and the policies that each of its programs has."""

    array: int
    split: Sequence[Sequence[Stage]]


def is_split(split: Sequence[Sequence[Stage]]) -> bool:
    """Whether the parts must be programs of their own."""
    return len(split) > 1 or any(stage.policy.object for part in split for stage in part)


def part_cases(split: Sequence[Sequence[Stage]]) -> list[tuple[int, str]]:
    """Lowest policy index and label of each part, for emit_ranges."""
    return [(part[0].layout.index, f"part{number}") for number, part in enumerate(split)]


def emit_ranges(asm: Assembler, cases: Sequence[tuple[int, str]]) -> None:
    """Go to the label of the last case that is not above R9."""
    if len(cases) == 1:
        asm.ja(cases[0][1])
        return
    middle = len(cases) // 2
    upper = asm.unique("range")
    asm.jump(">=", R9, cases[middle][0], upper)
    emit_ranges(asm, cases[:middle])
    asm.label(upper)
    emit_ranges(asm, cases[middle:])


def emit_switch(asm: Assembler, cases: Sequence[tuple[int, str]], missing: str) -> None:
    """Go to the label of the case that equals R9, by binary search; else to `missing`.

    `cases` is sorted by number. Direct branches: no indirect jump, so no retpoline.
    """
    if len(cases) <= 2:
        for number, label in cases:
            asm.jump("==", R9, number, label)
        asm.ja(missing)
        return
    middle = len(cases) // 2
    upper = asm.unique("switch")
    asm.jump(">=", R9, cases[middle][0], upper)
    emit_switch(asm, cases[:middle], missing)
    asm.label(upper)
    emit_switch(asm, cases[middle:], missing)


def emit_dispatch(asm: Assembler, found: Sequence[Stage], reach: Reach, missing: str) -> None:
    """Reach the policy R9 and run it; ends at one of Ends, R1 the counter's number."""
    cases = [(stage.layout.index, f"stage{stage.layout.index}") for stage in found]
    emit_switch(asm, cases, missing)
    for stage in found:
        asm.label(f"stage{stage.layout.index}")
        emit_stage(asm, stage, reach)
