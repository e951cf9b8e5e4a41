"""Files that are cheap to write and would be dear to read: told what is wrong, in time."""

import time

import pytest

from xdpctl.errors import TopologyError
from xdpctl.topology.load import load_texts

HEADER = "version: 1\nname: t\ndevices: {eth0: {kind: physical}}\n"
PORTS = "[tcp.sport, tcp.dport]"
FOUR = "[ip6.saddr, ip6.daddr, tcp.sport, tcp.dport]"


def one_set(kind: str, entries: str) -> str:
    return f"sets: {{s: {{type: {kind}, entries: [{entries}]}}}}\n"


def one_rule(match: str = "", action: str = "drop") -> str:
    return f"policies: {{p: {{rules: [{{match: {{{match}}}, action: {action}}}]}}}}\n"


def many_rules(rule: str, count: int = 1000) -> str:
    rules = ", ".join(rule.replace("#", str(number)) for number in range(count))
    return f"policies: {{p: {{rules: [{rules}]}}}}\n"


TOO_MANY = "the ranges of all sets stand for more than 4194304 entries"
TOO_LARGE = "an entry may have one large prefix or range"
FILES = {
    "aliases of a range": (
        one_set("ip6", "&a '::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe'" + ", *a" * 40_000),
        1, TOO_MANY,
    ),
    "ranges that are written out": (
        "sets:\n" + "".join(f"  s{n}: {{type: {PORTS}, entries: [0-65535 {n}-65535]}}\n"
                            for n in range(400)),
        None, TOO_MANY,
    ),
    "two large ranges": (one_set(PORTS, "1-65534 1-65534"), 1, TOO_LARGE),
    "four large ranges": (
        one_set(FOUR, "'::1-ffff::fffe ::1-ffff::fffe 1-65534 1-65534'"), 1, TOO_LARGE,
    ),
    "unknown sets beside many": (
        "sets:\n" + "".join(f"  set{n}: {{type: port, entries: []}}\n" for n in range(1000))
        + many_rules("{match: {tcp.dport: '@sett#'}, action: drop}"),
        1000, "names an unknown set @sett",
    ),
    "unknown devices": (many_rules("{action: {redirect: eht#}}"), 1000, "unknown device 'eht"),
    "unknown ports": (
        one_rule(f"meta.port: [{', '.join(f'eht{n}' for n in range(2000))}]"),
        2000, "meta.port: unknown device 'eht",
    ),
    "a number of many digits": (
        one_rule(f"tcp.dport: '{'9' * 100_000}'", f"{{limit: {'9' * 100_000}/second}}"),
        2, "must be",
    ),
    "a name of many digits": (
        f"policies: {{p: {{rules: [{{name: '{'9' * 100_000}', action: drop}}]}}}}\n", 1, "1-64",
    ),
    "a long word": (one_rule("tcp.dport: " + "h" * 1_000_000, "h" * 1_000_000), 2, "must be"),
    "a range of many dashes": (one_rule(f"tcp.dport: '{'1-' * 500_000}'"), 1, "must be a number"),
    "a key of many blanks": (
        f"policies:\n  p:\n    rules:\n      - match:\n          ? 'a{' ' * 300_000}b'\n"
        "          : '@x'\n        action: drop\n",
        1, "unknown match key",
    ),
    "many blanks in values": (
        one_rule(f"tcp.flags: 'any({', ' * 100_000})', meta.probability: '1{' ' * 100_000}x'",
                 f"{{limit: '5{' ' * 100_000}packets{' ' * 100_000}'}}"),
        3, "must be",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_it_is_told_in_time(name: str) -> None:
    text, count, message = FILES[name]
    start = time.process_time()
    with pytest.raises(TopologyError) as error:
        load_texts({"t": HEADER + text})
    assert time.process_time() - start < 60
    assert count is None or len(error.value.problems) == count
    assert all(message in problem.message for problem in error.value.problems)
    assert max(len(problem.message) for problem in error.value.problems) <= 401
