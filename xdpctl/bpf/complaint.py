"""What libbpf and the verifier say of a user's program, cut down to what helps its author."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import dropwhile, takewhile
from typing import Final

from xdpctl.bpf.libbpf import library

_WARNING = 0
_PRINT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_MOST_SOURCES, _MOST_SENTENCES = 3, 6

# Compiled at first use, which is seldom: every start would pay for it.
_INSTRUCTION = r"(\d+: \([0-9a-f]{2}\) .*?)(\s*; .*)?"
_NOISE = (
    r"\s*$|processed |verification time|stack depth|insns_state|(Live )?regs|(cur|old) state:"
    r"|last_idx|mark_precise|from \d+ to|parent |func#|caller:|callee:|returning from"
    r"|propagating|Validating|.*: safe$|(\d+: |\s*)(frame\d+: )?R\d+\w*=|;\s+(@|$)"
)
"""Registers, the verifier's bookkeeping, lines of source that the compiler made."""
_UNBROKEN = r"(BPF program is too large)"
"""Sentences that the kernel does not begin a line for."""
_WHOLE = r"combined stack size|the call stack of|tail_calls are not|processed "
"""Sentences on the program as a whole: the instruction before them is just the last one seen."""
_STATISTICS = "\nprocessed "
_FAILED = r"(prog '.*'): BPF program load failed"
_ECHO = r"prog '.*': failed to load|failed to load object"
"""libbpf's sentences that say no more than that it failed."""

HINTS: Final = (
    ("tail_calls are not allowed when call stack",
     "a tail call leaves at most 256 bytes of stack to its callers, xdpctl's own included: "
     "use a function call instead"),
    ("combined stack size|invalid write to stack R10 off=-|stack off=-",
     "all functions on the way to a place have 512 bytes of stack together, xdpctl's own "
     "included: keep what is big in a BPF_MAP_TYPE_PERCPU_ARRAY of one element"),
    ("invalid access to packet",
     "compare with data_end first: if ((void *)(header + 1) > data_end) return XDPCTL_DROP;"),
    (r"'?(map_value|mem|ringbuf_mem|sock)\w*_or_null'?",
     "what a lookup returns may be NULL: test it before it is used"),
    ("invalid access to map value|unbounded memory access|min value is (negative|outside)",
     "the verifier must see the bounds: mask or compare the index right before it is used"),
    ("unknown func|cannot use helper|invalid func ",
     "this kernel has no such helper for this type of program"),
    ("infinite loop|back-edge|BPF program is too large|too complex|load failed: No space left",
     "loop a constant number of times, or through bpf_loop(), whose body is verified once"),
    ("invalid (indirect )?(read from|access to) stack|invalid read from stack",
     "initialise the variable, padding included, before its address is given to a helper"),
    ("CO-RE relocation", "this kernel has no such field: ask with bpf_core_field_exists() first"),
    ("GPL-(restricted|compatible)", 'write char LICENSE[] SEC("license") = "Dual BSD/GPL";'),
    ("legacy map definitions", 'declare maps in SEC(".maps"), with __uint() and __type()'),
)  # fmt: skip
"""(what the sentence holds, the fix), the first that fits."""


@contextmanager
def listening() -> Iterator[list[str]]:
    """The warnings of libbpf meanwhile, the verifier's log in them. The library has one listener:
    what another thread does at the same time is in the list, too.
    """
    heard: list[str] = []

    def hear(level: int, template: int | None, arguments: int | None) -> int:
        if level == _WARNING:
            heard.append(_formatted(template, arguments))
        return 0

    listener = _PRINT(hear)  # must outlive its use: C has no count of references
    library().libbpf_set_print(listener)
    try:
        yield heard
    finally:
        library().libbpf_set_print(None)


@cache
def _libc() -> ctypes.CDLL:
    loaded = ctypes.CDLL(None)
    loaded.vasprintf.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    loaded.free.argtypes = (ctypes.c_void_p,)
    return loaded


def _formatted(template: int | None, arguments: int | None) -> str:
    """The message; `arguments` is a va_list, which C hands on as a pointer."""
    text = ctypes.c_char_p()
    if _libc().vasprintf(ctypes.byref(text), template, arguments) < 0:
        return ""
    try:
        return (text.value or b"").decode(errors="replace").removeprefix("libbpf: ")
    finally:
        _libc().free(text)


def told(heard: list[str], log: str) -> str:
    """The reason: the verifier's if it spoke in its log, else what libbpf warned of.

    A log that does not end with statistics is but its begin: before 6.4 kernels kept that of a
    log that did not fit.
    """
    refused = [match[1] for line in heard if (match := re.match(_FAILED, line))]
    if refused and _STATISTICS in log:
        return f"{refused[-1]}: refused by the verifier:\n{shortened(log)}"
    lines = [message.strip() for message in heard if not re.match(_ECHO, message)]
    return "\n".join(lines[:_MOST_SENTENCES])


def shortened(log: str) -> str:
    """The refused instruction with its source lines and what the verifier says of it."""
    lines = [line.rstrip() for line in re.sub(_UNBROKEN, r"\n\1", log).splitlines()]
    backwards = [line for line in reversed(lines) if not re.match(_NOISE, line)]
    sentences = list(takewhile(_is_sentence, backwards))
    rest = list(dropwhile(lambda line: not re.fullmatch(_INSTRUCTION, line), backwards))
    kept = sentences[:_MOST_SENTENCES][::-1]
    if not rest or any(re.match(_WHOLE, line) for line in sentences):
        return "\n".join(kept)
    found = re.fullmatch(_INSTRUCTION, rest[0])
    instruction = found[1] if found else ""
    above = dropwhile(lambda line: not line.startswith("; "), rest)
    sources = list(takewhile(lambda line: line.startswith("; "), above))
    return "\n".join([*sources[:_MOST_SOURCES][::-1], instruction, *kept])


def instruction(reason: str) -> int | None:
    """The index of the refused instruction in a shortened log; None where there is none."""
    found = re.search(r"^(\d+): \(", reason, re.MULTILINE)
    return int(found[1]) if found else None


def _is_sentence(line: str) -> bool:
    return not (line.startswith("; ") or re.fullmatch(_INSTRUCTION, line))


def hint(reason: str) -> str | None:
    """The fix for what authors of programs run into most."""
    return next((fix for what, fix in HINTS if re.search(what, reason)), None)
