"""Sending a number to the label of its segment: compares, a bitmap or a binary search, by size."""

from __future__ import annotations

from xdpctl.bpf.asm import R1, R2, R3, Assembler
from xdpctl.policy.intervals import Segment

_LINEAR = 7  # segments; three single values and what is between
_BITMAP_BITS = 64


class Switch:
    """Emits the jumps for a number in R1; clobbers R2 and R3.

    `wide`: the number has 64 bits, else 32. `behind` is the label that the caller puts right
    behind the switch; jumps to it that would be the last instruction are left out.
    """

    __slots__ = ("asm", "behind", "wide")

    def __init__(self, asm: Assembler, *, wide: bool, behind: str) -> None:
        self.asm = asm
        self.wide = wide
        self.behind = behind

    def emit(self, segments: list[Segment], *, last: bool = True) -> None:
        """Distribute the segments, which follow each other without gaps, to their targets."""
        segments = self._singles(segments, last=last)
        if self._is_last_single(segments, last=last):
            self._compare("!=", segments[1].low, segments[0].target)
        elif len(segments) == 1:
            if not (last and segments[0].target == self.behind):
                self.asm.ja(segments[0].target)
        elif len(segments) == 2:
            self._halves(segments[0], segments[1], last=last)
        elif self._is_dense(segments):
            self._bitmap(segments, last=last)
        elif len(segments) == 3:
            self._compare("<=", segments[0].high, segments[0].target)
            self.emit(segments[1:], last=last)
        else:
            middle = len(segments) // 2
            upper = self.asm.unique("upper")
            self._compare(">", segments[middle - 1].high, upper)
            self.emit(segments[:middle], last=False)
            self.asm.label(upper)
            self.emit(segments[middle:], last=last)

    def _singles(self, segments: list[Segment], *, last: bool) -> list[Segment]:
        """Take out what is one number in the midst of another target, if there are few."""
        if len(segments) > _LINEAR:
            return segments
        index = 1
        while index < len(segments) - 1 and not self._is_last_single(segments, last=last):
            before, one, behind = segments[index - 1 : index + 2]
            if one.low == one.high and before.target == behind.target:
                self._compare("==", one.low, one.target)
                joined = Segment(before.low, behind.high, before.target)
                segments = [*segments[: index - 1], joined, *segments[index + 2 :]]
            else:
                index += 1
        return segments

    def _is_last_single(self, segments: list[Segment], *, last: bool) -> bool:
        """One number that goes on behind the switch, all others elsewhere."""
        return (
            last
            and len(segments) == 3
            and segments[1].low == segments[1].high
            and segments[1].target == self.behind
            and segments[0].target == segments[2].target
        )

    def _halves(self, lower: Segment, upper: Segment, *, last: bool) -> None:
        if last and upper.target == self.behind:
            self._compare("<=", lower.high, lower.target)
            return
        self._compare(">", lower.high, upper.target)
        if not (last and lower.target == self.behind):
            self.asm.ja(lower.target)

    def _is_dense(self, segments: list[Segment]) -> bool:
        return (
            len(segments) > _LINEAR
            and not self.wide
            and segments[0].target == segments[-1].target
            and len({segment.target for segment in segments}) == 2
            and segments[-1].low - segments[1].low <= _BITMAP_BITS
        )

    def _bitmap(self, segments: list[Segment], *, last: bool) -> None:
        """One bit a number between the first and the last segment."""
        outside, base = segments[0].target, segments[1].low
        inside = segments[1].target
        bits = 0
        for segment in segments[1:-1]:
            if segment.target == inside:
                for number in range(segment.low, segment.high + 1):
                    bits |= 1 << (number - base)
        asm = self.asm
        asm.mov32(R2, R1)
        if base:
            asm.sub32(R2, base)
        asm.jump32(">", R2, _BITMAP_BITS - 1, outside)
        asm.load_immediate(R3, bits)
        asm.rsh(R3, R2)
        asm.and_(R3, 1)
        if last and inside == self.behind:
            asm.jump("==", R3, 0, outside)
            return
        asm.jump("!=", R3, 0, inside)
        if not (last and outside == self.behind):
            asm.ja(outside)

    def _compare(self, test: str, number: int, label: str) -> None:
        if not self.wide:
            self.asm.jump32(test, R1, number, label)
        elif number <= 0x7FFF_FFFF:
            self.asm.jump(test, R1, number, label)
        else:
            self.asm.load_immediate(R2, number)
            self.asm.jump(test, R1, R2, label)
