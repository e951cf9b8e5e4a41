"""The gates of devices in other network namespaces: a program each, which knows its number.

What all gates in the root's namespace compare, the ifindex of their device, may be another device's
somewhere else. So these compare a number that stands in their own instructions, and hand it on to a
police of their own in the control block (`cb`), which whoever rules the namespace cannot write
in between: from the gate to the police it is one run.
"""

from __future__ import annotations

from xdpctl.bpf import btf, program
from xdpctl.bpf.asm import R0, R1, R6, Assembler, W
from xdpctl.datapath.backstop import CONTROL_BLOCK, emit_let_marked_through, emit_repair
from xdpctl.datapath.description import Description
from xdpctl.datapath.layout import POLICE_AWAY
from xdpctl.datapath.ways_out import TC_DROP
from xdpctl.host.elsewhere import gate_name


def assemble_gate(programs_fd: int, described: Description, number: int) -> Assembler:
    """Metadata of the device of this number → next; everything else → the police; none → drop."""
    asm = Assembler()
    asm.mov(R6, R1)
    if described.mode == "native":
        emit_let_marked_through(asm, described.nonce, deep=described.deep, number=number)
    else:
        emit_repair(asm, "police", "drop")
    asm.label("police")
    asm.load_immediate(R1, number)
    asm.store(W, R6, CONTROL_BLOCK, R1)
    asm.tail_call(R6, programs_fd, POLICE_AWAY)
    asm.label("drop")
    asm.mov(R0, TC_DROP)
    asm.exit()
    return asm


def load_gate(programs_fd: int, described: Description, number: int) -> program.Program:
    """The gate of one device; its number is in its name, to be found again by."""
    asm = assemble_gate(programs_fd, described, number)
    name = gate_name(number, described.gates)
    debug = btf.describe(name, asm.lines, {}, asm.functions)
    return program.load(asm.assemble(), program.Flavour.TC, name, debug)
