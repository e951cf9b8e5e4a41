"""Compile 1,000 distinct policies of 10 rules, and load them all.

    python benchmarks/compile.py [POLICIES]

The goal is that 1,000 compile in less than a second. Compiling needs no privileges; loading needs
root and is left out without.
"""

from __future__ import annotations

import os
import random
import sys
import time

from measure import report

from xdpctl.bpf import program
from xdpctl.bpf.asm import R0, R1, R6, R7, Assembler, W
from xdpctl.policy.compiler import emit_policy, requirements
from xdpctl.policy.digest import digest
from xdpctl.policy.parse import Hook, emit_parse
from xdpctl.topology.keys import KEYS
from xdpctl.topology.model import Location, Policy, Rule

RULES = 10
ROUNDS = 5
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


def goal(number: int, seconds: float) -> str:
    """The goal for so many policies, and whether it is reached."""
    wanted = GOAL * number / 1000
    return f"  goal: {number} in {wanted:.3g} s: {'reached' if seconds < wanted else 'missed'}"


def main() -> None:
    """Measure and print."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    policies = [policy(index) for index in range(number)]
    for what, work in (
        ("rules", rules_alone), ("parse and rules", compiled), ("digest", digest),
    ):  # fmt: skip
        times = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            results = [work(one) for one in policies]
            times.append(time.perf_counter() - start)
        sizes = [len(result) // 8 for result in results if isinstance(result, bytes)]
        note = f"{min(sizes)} to {max(sizes)} instructions each" if sizes else ""
        median = report(f"{number} policies of {RULES} rules, {what}", times, note)
        if sizes:
            print(goal(number, median))
    if os.geteuid() == 0:
        codes = [compiled(one) for one in policies]
        times = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            for code in codes:
                program.load(code, program.Flavour.XDP, "compile").close()
            times.append(time.perf_counter() - start)
        report(f"load all {number}, one after another", times, "verifier and JIT")


if __name__ == "__main__":
    main()
