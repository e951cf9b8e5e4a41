"""The verifier's log, of kernels old and new, cut down to what its reader needs."""

from __future__ import annotations

import pytest

from xdpctl.bpf.complaint import hint, shortened, told

NEW = """\
0: R1=ctx() R10=fp0
; unsigned char *data = (void *)(long)context->data; @ mine.bpf.c:11
0: (61) r1 = *(u32 *)(r1 +0)          ; R1=pkt(r=0)
; return data[3] == 7 ? XDP_DROP : XDP_PASS; @ mine.bpf.c:12
1: (bf) r2 = r1                       ; R1=pkt(r=0) R2=pkt(r=0)
;  @ mine.bpf.c:0
2: (71) r1 = *(u8 *)(r1 +3)
invalid access to packet, off=3 size=1, R1(id=0,off=3,r=0)
R1 offset is outside of the packet
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""
OLD = """\
reg type unsupported for arg#0 function xdp_main#6
0: R1=ctx(off=0,imm=0) R10=fp0
; __u64 *found = bpf_map_lookup_elem(&counts, &key);
3: (85) call bpf_map_lookup_elem#1    ; R0_w=map_value_or_null(id=1,off=0,ks=4,vs=8,imm=0)
; return *found;
4: (79) r0 = *(u64 *)(r0 +0)
R0 invalid mem access 'map_value_or_null'
verification time 47 usec
stack depth 8
processed 5 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""
STACK = """\
func#0 @0
0: R1=ctx() R10=fp0
; return deep(big); @ mine.bpf.c:9
9: (95) exit
from 5 to 3: R0=0 R10=fp0
3: safe
combined stack size of 2 calls is 608. Too large
processed 10 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""
LOOP = """\
; for (;;) @ mine.bpf.c:8
0: (05) goto pc-1
infinite loop detected at insn 0
cur state: R1=ctx() R10=fp0
old state: R1=ctx() R10=fp0
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""
LONG = """\
; while (more()) @ mine.bpf.c:8
6: (55) if r0 != 0x0 goto pc-5 BPF program is too large. Processed 1000001 insn
processed 1000001 insns (limit 1000000) max_states_per_insn 4 total_states 9 peak_states 9
"""


@pytest.mark.parametrize(
    ("log", "short"),
    [
        (NEW, "; return data[3] == 7 ? XDP_DROP : XDP_PASS; @ mine.bpf.c:12\n"
              "2: (71) r1 = *(u8 *)(r1 +3)\n"
              "invalid access to packet, off=3 size=1, R1(id=0,off=3,r=0)\n"
              "R1 offset is outside of the packet"),
        (OLD, "; return *found;\n4: (79) r0 = *(u64 *)(r0 +0)\n"
              "R0 invalid mem access 'map_value_or_null'"),
        (STACK, "combined stack size of 2 calls is 608. Too large"),
        (LOOP, "; for (;;) @ mine.bpf.c:8\n0: (05) goto pc-1\ninfinite loop detected at insn 0"),
        (LONG, "; while (more()) @ mine.bpf.c:8\n6: (55) if r0 != 0x0 goto pc-5\n"
               "BPF program is too large. Processed 1000001 insn"),
        ("", ""),
    ],
    ids=["new", "old", "stack", "loop", "long", "nothing"],
)  # fmt: skip
def test_what_matters_is_kept(log: str, short: str) -> None:
    assert shortened(log) == short


def test_many_lines_are_cut() -> None:
    log = "".join(f"; line {n}\n" for n in range(20)) + "1: (95) exit\n" + "why\n" * 20
    assert len(shortened(log).splitlines()) == 10


def test_the_refused_program_is_named() -> None:
    heard = [
        "prog 'xdp_main': BPF program load failed: Permission denied\n",
        "prog 'xdp_main': failed to load: -13\n",
        "failed to load object 'mine'\n",
    ]
    assert told(heard, NEW).startswith("prog 'xdp_main': refused by the verifier:\n; return data")


def test_without_a_log_libbpf_is_asked() -> None:
    heard = ["map 'm': failed to create: Invalid argument(-22)\n", "failed to load object 'mine'\n"]
    assert told(heard, "") == "map 'm': failed to create: Invalid argument(-22)"


def test_the_begin_of_a_log_is_no_reason() -> None:
    """Kernels before 6.4 keep the begin of a log that does not fit, and answer ENOSPC."""
    heard = ["prog 'xdp_main': BPF program load failed: No space left on device\n"]
    reason = told(heard, NEW.split("processed")[0])
    assert reason == "prog 'xdp_main': BPF program load failed: No space left on device"
    assert "bpf_loop" in str(hint(reason))


@pytest.mark.parametrize(
    ("reason", "fix"),
    [
        (NEW, "data_end"), (OLD, "may be NULL"), (STACK, "512 bytes"), (LOOP, "bpf_loop"),
        ("tail_calls are not allowed when call stack of previous frames is 272 bytes", "256"),
        ("unknown func bpf_loop#181", "no such helper"),
        ("cannot call GPL-restricted function from non-GPL compatible program", "LICENSE"),
        ("R1 unbounded memory access, make sure to bounds check any such access", "bounds"),
        ("something that nobody has seen", "None"),
    ],
)  # fmt: skip
def test_the_fix_that_is_told(reason: str, fix: str) -> None:
    assert fix in str(hint(reason))
