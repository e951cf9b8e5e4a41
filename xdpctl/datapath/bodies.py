"""The policies of a pipeline as instructions: who shares them, where they stand, the way there.

A *body* is what policies of one shape compile to. A row of the map `xdpctl_rows` belongs to each
policy: the number of its body, then its parameters. The map is the program's own, so a policy's
numbers change with the program, at one instant.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence

from xdpctl.bpf import maps
from xdpctl.bpf.asm import R0, R1, R6, R9, Assembler, W
from xdpctl.bpf.maps import Map, MapType
from xdpctl.datapath.access import emit_place
from xdpctl.datapath.counter_map import CHUNK, CounterMap
from xdpctl.datapath.emit import Reach, Stage, emit_stage
from xdpctl.datapath.named import SOCKETS, sets_of, targets_of
from xdpctl.errors import UnsupportedError
from xdpctl.policy.bindings import Bindings
from xdpctl.policy.shape import WORD, Candidate, shapes
from xdpctl.policy.steps import Steps
from xdpctl.record import record
from xdpctl.topology.model import Policy

ROWS = "xdpctl_rows"
MOST_MAPS = 48
"""Sets and maps of sockets that one program looks into: the kernel takes 64 maps (MAX_USED_MAPS),
of which a program has up to ten of its own."""
ROOM = 16_000
"""Instructions of policies in one program: half of what a jump's 16 bits reach."""


@record
class Body:
    """Instructions that some policies share; they are made of the first.

    number  from 1: 0 stands in the rows of indexes that no policy has
    steps  with parameters (None: the policy's own)
    rows   the parameters of each policy
    """

    number: int
    stages: tuple[Stage, ...]
    steps: tuple[Steps | None, ...] | None
    rows: tuple[tuple[int, ...], ...]

    @property
    def first(self) -> Stage:
        """The policy that stands for all."""
        return self.stages[0]


def bodies(found: Sequence[Stage], bindings: Bindings) -> list[Body]:
    """What the policies compile to."""
    candidates = [Candidate(stage.policy, stage.layout.numbering) for stage in found]
    return [
        Body(number, tuple(found[at] for at in shape.members), shape.steps, shape.rows)
        for number, shape in enumerate(shapes(candidates, bindings), start=1)
    ]


@record
class Rows:
    """Where a program finds the row of a policy.

    fd    of the map; 0 where there is one policy alone, which needs no row
    size  bytes of a row, a power of two
    last  the highest index of a policy
    """

    fd: int
    size: int
    last: int


def create_rows(found: Sequence[Body]) -> tuple[Rows, Map | None]:
    """The rows of all policies."""
    words = 1 + max((len(row) for body in found for row in body.rows), default=0)
    size = 1 << (words * WORD - 1).bit_length()
    last = max((stage.layout.index for body in found for stage in body.stages), default=0)
    if sum(len(body.stages) for body in found) < 2:
        return Rows(0, 0, last), None
    values = bytearray(size * (last + 1))
    for body in found:
        for stage, row in zip(body.stages, body.rows, strict=True):
            struct.pack_into(
                f"={1 + len(row)}Q", values, stage.layout.index * size, body.number, *row
            )
    made = maps.create(MapType.ARRAY, 4, len(values), 1, ROWS)
    made.update(bytes(4), bytes(values))
    return Rows(made.fd, size, last), made


def parts(found: Sequence[Body], bindings: Bindings) -> list[list[Body]]:
    """Split the bodies into programs that jumps can cross, in the order of their numbers.

    One part: all stand in the pipeline itself. More: each part is a program of its own, reached by
    a tail call with a constant index, which the JIT makes a direct jump. A user's program has a
    part for itself.
    """
    split: list[list[Body]] = [[]]
    filled, named = 0, set[str]()
    for body in found:
        policy = body.first.policy
        size = ROOM if policy.object is not None else _size(body, bindings)
        own = _maps_of(policy)
        if len(own) > MOST_MAPS:
            raise UnsupportedError(
                f"{policy.location}: policy {policy.name} and what it leads to name "
                f"{len(own)} sets and sockets' maps: at most {MOST_MAPS}, "
                "as the kernel takes 64 maps a program"
            )
        if split[-1] and (filled + size > ROOM or len(named | own) > MOST_MAPS):
            split.append([])
            filled, named = 0, set()
        split[-1].append(body)
        filled += size
        named |= own
    return split


def fit(found: Sequence[Body], bindings: Bindings) -> bool:
    """Whether these bodies have room in one program, and the maps that they look into."""
    named = set[str]().union(*(_maps_of(body.first.policy) for body in found))
    return sum(_size(body, bindings) for body in found) <= ROOM and len(named) <= MOST_MAPS


def _size(body: Body, bindings: Bindings) -> int:
    scratch = Assembler()
    emit_stage(scratch, body.first, Reach(CounterMap(0, CHUNK), bindings), steps=body.steps)
    return len(scratch)


def _maps_of(policy: Policy) -> set[str]:
    return {*sets_of([policy]), *(key for key in targets_of([policy]) if key.startswith(SOCKETS))}


@record
class Parts:
    """A program array, and the bodies that each of its programs has."""

    array: int
    split: Sequence[Sequence[Body]]


def is_split(split: Sequence[Sequence[Body]]) -> bool:
    """Whether the parts must be programs of their own."""
    return len(split) > 1 or any(body.first.policy.object for part in split for body in part)


def used(found: Sequence[Body], policies: Collection[str]) -> list[Body]:
    """The bodies that some of these policies run."""
    return [body for body in found if any(stage.layout.name in policies for stage in body.stages)]


def emit_part(asm: Assembler, parts: Parts, rows: Rows, missing: str) -> None:
    """Go on in the part that has the body of policy R9, with the context R6; to `missing` where
    there is none. Clobbers R9.
    """
    cases = [(part[0].number, f"part{number}") for number, part in enumerate(parts.split)]
    if not _emit_only(asm, cases, rows, missing):
        _emit_row(asm, rows, missing)
        _emit_ranges(asm, [(0, missing), *cases])
    for number, (_, label) in enumerate(cases):
        asm.label(label)
        asm.tail_call(R6, parts.array, number)
        asm.ja(missing)


def _emit_only(asm: Assembler, cases: Sequence[tuple[int, str]], rows: Rows, missing: str) -> bool:
    """The way where there is one policy alone, which has no row, or none; False where there are
    more.
    """
    if rows.fd:
        return False
    if not cases:
        asm.ja(missing)
        return True
    asm.jump("!=", R9, rows.last, missing)
    asm.ja(cases[0][1])
    return True


def _emit_row(asm: Assembler, rows: Rows, missing: str) -> None:
    """R9, the index of a policy, becomes its row, R1 the number of its body."""
    asm.jump(">", R9, rows.last, missing)
    emit_place(asm, rows.fd, R9, rows.size)
    asm.mov(R9, R0)
    asm.load(W, R1, R9, 0)


def _emit_ranges(asm: Assembler, cases: Sequence[tuple[int, str]]) -> None:
    """Go to the label of the last case that is not above R1."""
    if len(cases) == 1:
        asm.ja(cases[0][1])
        return
    middle = len(cases) // 2
    upper = asm.unique("range")
    asm.jump(">=", R1, cases[middle][0], upper)
    _emit_ranges(asm, cases[:middle])
    asm.label(upper)
    _emit_ranges(asm, cases[middle:])


def _with_gaps(cases: Sequence[tuple[int, str]], missing: str) -> list[tuple[int, str]]:
    """The cases as _emit_ranges takes them: what lies between their numbers is missing."""
    found = [(0, missing)]
    for number, label in cases:
        if found[-1] == (number, missing):
            found.pop()
        found += [(number, label), (number + 1, missing)]
    return found


def emit_dispatch(
    asm: Assembler,
    found: Sequence[Body],
    rows: Rows,
    reach: Reach,
    missing: str,
    passed: str = "passed",
) -> None:
    """Reach the body of policy R9 and run it; ends at one of Ends, R1 the counter's number.

    Goes to `missing` where none of `found` is the policy's: of a device that goes, until its slot
    has gone, too. Direct branches, by binary search: no indirect jump, so no retpoline. May be
    emitted once for each `passed`.
    """
    cases = [(body.number, f"{passed}-body{body.number}") for body in found]
    if not _emit_only(asm, cases, rows, missing):
        _emit_row(asm, rows, missing)
        numbers = [number for number, _ in cases]
        whole = numbers == list(range(1, len(numbers) + 1))
        ways = [(0, missing), *cases] if whole else _with_gaps(cases, missing)
        _emit_ranges(asm, ways)
    for body, (_, label) in zip(found, cases, strict=True):
        asm.label(label)
        prefix = f"{passed}-policy{body.first.layout.index}"
        emit_stage(asm, body.first, reach, passed=passed, prefix=prefix, steps=body.steps)
