"""Instructions that the pipeline and the backstop share: counting, and reaching a policy.

Registers in both: R6 context, R7 bytes of the frame, R8 counter block, R9 the policy's index once
it is known. The stack below -128 belongs to these programs; above it lies the header record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdpctl.bpf.asm import R1, Assembler
from xdpctl.datapath.counter_map import CounterMap, emit_count
from xdpctl.datapath.layout import DEFAULT
from xdpctl.datapath.policy_layout import PolicyLayout
from xdpctl.datapath.user_objects import UserObjects, emit_program
from xdpctl.policy.bindings import Bindings
from xdpctl.policy.compiler import Ends, emit_policy
from xdpctl.policy.steps import Steps
from xdpctl.record import record
from xdpctl.topology.model import Policy

IFINDEX = -136
"""Stack: the ifindex of the device the frame is for (u32)."""


@record
class Stage:
    """A policy with the counters its rules have in this pipeline."""

    policy: Policy
    layout: PolicyLayout


def stages(policies: Mapping[str, Policy], layouts: Mapping[str, PolicyLayout]) -> list[Stage]:
    """All policies with their layouts, by index."""
    ordered = sorted(layouts.values(), key=lambda layout: layout.index)
    return [Stage(policies[layout.name], layout) for layout in ordered]


@record
class Reach:
    """What policies need of the program that they stand in.

    objects   users' programs (None: where the instructions are only counted)
    """

    counters: CounterMap
    bindings: Bindings
    objects: UserObjects | None = None


def emit_stage(
    asm: Assembler,
    stage: Stage,
    reach: Reach,
    *,
    passed: str = "passed",
    prefix: str = "",
    steps: Sequence[Steps | None] | None = None,
) -> None:
    """One policy's rules; ends at `passed` or another of Ends with the counter's number in R1.

    `steps` with parameters, where the instructions are those of several policies (emit_policy).
    """
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
        steps=steps,
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
