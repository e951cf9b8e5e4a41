"""Compile 1,000 distinct policies of 10 rules, and load them all.

    python benchmarks/compile.py [--policies N] [--rounds N] [--json FILE]

The goal is that 1,000 compile in less than a second. Compiling needs no privileges; loading needs
root and is left out without.
"""

from __future__ import annotations

import os
import random
import time

from bench.record import Goal, Record, Row, parser, show

from xdpctl.bpf import program
from xdpctl.bpf.asm import R0, R1, R6, R7, Assembler, W
from xdpctl.policy.compiler import emit_policy, requirements
from xdpctl.policy.digest import digest
from xdpctl.policy.parse import Hook, emit_parse
from xdpctl.topology.keys import KEYS
from xdpctl.topology.model import Location, Policy, Rule

RULES = 10
GOAL = 1.0
"""Seconds for 1,000 policies."""
HERE = Location("policies.yaml", 1, 1)


def policy(number: int) -> Policy:
    """Ten rules as people write them: lists of ports, prefixes, ICMP types; all differ."""
    pick = random.Random(number)

    def ports() -> list[str]:
        single = [str(pick.randrange(65536)) for _ in range(pick.choice((1, 1, 2, 4, 12)))]
        low = pick.randrange(60000)
        return [*single, f"{low}-{low + pick.randrange(1, 500)}"]

    def prefix4() -> list[str]:
        return [f"10.{pick.randrange(256)}.{pick.randrange(256)}.0/24" for _ in range(2)]

    def prefix6() -> list[str]:
        return [f"2001:db8:{pick.randrange(65536):x}::/48"]

    matches: list[dict[str, list[str]]] = [
        {"ether.type": ["arp"]},
        {"tcp.dport": ports()},
        {"udp.dport": ports(), "ip4.saddr": prefix4()},
        {"ip6.saddr": prefix6(), "tcp.dport": ports()},
        {"icmp.type": ["echo-request", "destination-unreachable"]},
        {"icmpv6.type": ["133-136", "echo-request"]},
        {"ip4.daddr": prefix4()},
        {"meta.l4_proto": ["tcp", "udp"], "ip4.saddr": prefix4()},
        {"tcp.sport": ports(), "tcp.dport": ports()},
        {"udp.sport": ports()},
    ]
    rules = tuple(
        Rule(
            str(index + 1),
            tuple(
                KEYS[key].condition(span for value in values for span in KEYS[key].parse(value))
                for key, values in match.items()
            ),
            pick.choice(("pass", "drop", "count")),
            HERE,
        )
        for index, match in enumerate(matches)
    )
    return Policy(f"policy{number}", "drop", rules, HERE)


def count(asm: Assembler, number: int) -> None:
    """What a caller would emit here is not the policy's compile time."""
    asm.mov(R0, number)


def compiled(one: Policy) -> bytes:
    """A program that parses the frame, runs the policy, and returns XDP_PASS or XDP_DROP."""
    asm = Assembler()
    asm.mov(R6, R1)
    asm.load(W, R7, R6, 4)
    asm.load(W, R1, R6, 0)
    asm.sub(R7, R1)
    needs = requirements([one])
    emit_parse(asm, Hook.XDP, needs.depth, needs.fields)
    rules(asm, one)
    return asm.assemble()


def rules(asm: Assembler, one: Policy) -> None:
    """The policy's rules with the two ends that they jump to."""
    emit_policy(asm, one, prefix="p", count=count)
    for label, code in (("passed", 2), ("dropped", 1)):
        if asm.is_used(label):
            asm.label(label)
            asm.mov(R0, code)
            asm.exit()


def rules_alone(one: Policy) -> bytes:
    """The policy's rules as a shared stage of a pipeline, the parse being elsewhere."""
    asm = Assembler()
    rules(asm, one)
    return asm.assemble()


def measure(number: int, rounds: int) -> list[Row]:
    """Each kind of work in turn, on all policies."""
    policies = [policy(index) for index in range(number)]
    works = {"rules": rules_alone, "parse and rules": compiled, "digest": digest}
    goal = Goal("<", GOAL * number / 1000, own=True)
    what = f"{number:,} policies of {RULES} rules"
    rows = [
        Row(f"{what}, {name}", "s", goal=None if work is digest else goal)
        for name, work in works.items()
    ]
    for _ in range(rounds):
        for row, work in zip(rows, works.values(), strict=True):
            start = time.perf_counter()
            results = [work(one) for one in policies]
            row.ours.append(time.perf_counter() - start)
            sizes = [len(each) // 8 for each in results if isinstance(each, bytes)]
            row.note = f"{min(sizes)} to {max(sizes)} instructions each" if sizes else ""
    if os.geteuid() == 0:
        codes = [compiled(one) for one in policies]
        rows.append(Row(f"{what}, loaded one by one", "s", note="verifier and JIT"))
        for _ in range(rounds):
            start = time.perf_counter()
            for code in codes:
                program.load(code, program.Flavour.XDP, "compile").close()
            rows[-1].ours.append(time.perf_counter() - start)
    return rows


def main() -> None:
    """Measure and print."""
    line = parser(__doc__, rounds=5)
    line.add_argument("--policies", type=int, default=1000)
    options = line.parse_args()
    record = Record("compile", measure(options.policies, options.rounds))
    show(record.rows)
    if options.json:
        record.write(options.json)


if __name__ == "__main__":
    main()
