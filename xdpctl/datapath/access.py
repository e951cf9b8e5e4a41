"""Instructions that reach a map's memory."""

from __future__ import annotations

from xdpctl.bpf.asm import R0, R1, R2, R10, Assembler, Register, W

KEY = -132
"""Stack: the key of a lookup (u32)."""
FN_MAP_LOOKUP = 1


def emit_lookup(asm: Assembler, map_fd: int, key: Register, missing: str) -> None:
    """R0 = the map's value for the u32 in `key`; goes to `missing` where there is none.

    On an array the JIT makes this a bounds check and an addition (map_gen_lookup): no call.
    """
    asm.store(W, R10, KEY, key)
    asm.mov(R2, R10)
    asm.add(R2, KEY)
    asm.map_fd(R1, map_fd)
    asm.call(FN_MAP_LOOKUP)
    asm.jump("==", R0, 0, missing)


def emit_place(asm: Assembler, map_fd: int, index: Register, size: int) -> None:
    """R0 = where element `index`, of `size` bytes (a power of two), of a map in memory stands.

    The map is an array of one value, whose address is a constant: no check, no call. The verifier
    must know a bound of `index`, which is clobbered.
    """
    asm.lsh(index, size.bit_length() - 1)
    asm.map_value(R0, map_fd)
    asm.add(R0, index)
