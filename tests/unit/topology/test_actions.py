"""Actions as they come out, in every spelling."""

import pytest

from xdpctl.topology.load import load_texts
from xdpctl.topology.model import Rate, Rule

SECOND = 1_000_000_000
HEADER = """version: 1
name: t
devices:
  eth0: {kind: physical}
  eth1: {kind: physical}
  tap0: {kind: tap}
  veth0: {kind: veth, peer: veth1}
  veth1: {kind: veth, peer: veth0}
  bond0: {kind: bond, ports: [eth1]}
policies:
  other: {}
  p:
"""


def rule(action: str) -> Rule:
    source = f"{HEADER}    rules: [{{action: {action}}}]\n"
    return load_texts({"t": source}).policies["p"].rules[0]


def packets(amount: int, period: int, burst: int) -> Rate:
    return Rate("packets", amount, period * SECOND, burst)


def octets(amount: int, burst: int, period: int = 1) -> Rate:
    return Rate("bytes", amount, period * SECOND, burst)


@pytest.mark.parametrize("action", ["pass", "drop", "tx", "count", "log"])
def test_a_word_is_all_of_it(action: str) -> None:
    found = rule(action)
    assert (found.action, found.target, found.rate, found.into) == (action, "", None, None)


@pytest.mark.parametrize("device", ["eth0", "eth1", "tap0", "veth0", "veth1", "bond0"])
def test_redirect_goes_to_a_device_that_takes_frames(device: str) -> None:
    found = rule(f"{{redirect: {device}}}")
    assert (found.action, found.target, found.rate) == ("redirect", device, None)


@pytest.mark.parametrize("name", ["ids", "0x", "a_b-c", "a2345678901234567890123456789012"])
def test_userspace_has_a_name(name: str) -> None:
    found = rule(f'{{userspace: "{name}"}}')
    assert (found.action, found.target) == ("userspace", name)


@pytest.mark.parametrize(
    ("limit", "rate"),
    [
        ("100/second", packets(100, 1, 5)),
        ("100/s", packets(100, 1, 5)),
        ("100/sec", packets(100, 1, 5)),
        ("100 / second", packets(100, 1, 5)),
        ("100 packets/second", packets(100, 1, 5)),
        ("1 packet/second", packets(1, 1, 5)),
        ("100/SECOND", packets(100, 1, 5)),
        ("10/minute", packets(10, 60, 5)),
        ("10/min", packets(10, 60, 5)),
        ("10/m", packets(10, 60, 5)),
        ("3/hour", packets(3, 3600, 5)),
        ("3/h", packets(3, 3600, 5)),
        ("1/day", packets(1, 86400, 5)),
        ("1/d", packets(1, 86400, 5)),
        ("501/second", packets(501, 1, 5)),
        ("100000/second", packets(100_000, 1, 1000)),
        ("100000000/second", packets(100_000_000, 1, 1_000_000)),
        ("6000000000/minute", packets(6_000_000_000, 60, 1_000_000)),
        ("100/second burst 20", packets(100, 1, 20)),
        ("100/second 20", packets(100, 1, 20)),
        ("100/second  burst  20 packets", packets(100, 1, 20)),
        ("100/second burst 1", packets(100, 1, 1)),
        ("10mbit", octets(1_250_000, 131_072)),
        ("10 mbit", octets(1_250_000, 131_072)),
        ("10Mbit", octets(1_250_000, 131_072)),
        ("1gbit", octets(125_000_000, 1_250_000)),
        ("1000gbit", octets(125_000_000_000, 1_250_000_000)),
        ("64kbit", octets(8_000, 131_072)),
        ("8bit", octets(1, 131_072)),
        ("1bit", octets(1, 131_072, 8)),
        ("1.5mbit", octets(187_500, 131_072)),
        ("2.5gbit", octets(312_500_000, 3_125_000)),
        ("0.1kbit", octets(100, 131_072, 8)),
        ("10mbit burst 64k", octets(1_250_000, 64_000)),
        ("10mbit burst 64kb", octets(1_250_000, 64_000)),
        ("10mbit burst 64 kbytes", octets(1_250_000, 64_000)),
        ("10mbit burst 65536", octets(1_250_000, 65_536)),
        ("5 mbytes/second", octets(5_000_000, 131_072)),
        ("5mbytes/second", octets(5_000_000, 131_072)),
        ("5 mbytes/second burst 64k", octets(5_000_000, 64_000)),
        ("1 byte/second", octets(1, 131_072)),
        ("1500 bytes/minute", octets(1500, 131_072, 60)),
        ("10 kbytes/hour burst 1m", octets(10_000, 1_000_000, 3600)),
    ],
)
def test_limits(limit: str, rate: Rate) -> None:
    assert rule(f"{{limit: {limit}}}").rate == rate


@pytest.mark.parametrize(
    "spelling",
    [
        "{limit: 100/second burst 20}",
        "{limit: 100/second, burst: 20}",
        '{limit: 100/second, burst: "20"}',
        "{limit: 100/second, burst: 20 packets}",
        "{burst: 20, limit: 100/second}",
        "{limit: {rate: 100/second, burst: 20}}",
        "{limit: {rate: 100/second burst 20}}",
        "{limit: {rate: 100/second}, burst: 20}",
    ],
)
def test_a_burst_may_stand_in_any_place(spelling: str) -> None:
    found = rule(spelling)
    assert (found.action, found.target, found.rate) == ("limit", "", packets(100, 1, 20))


def test_a_burst_of_bytes_may_stand_beside_the_limit() -> None:
    assert rule("{limit: 10mbit, burst: 64k}").rate == octets(1_250_000, 64_000)
    assert rule("{limit: 10mbit, burst: 64000}").rate == octets(1_250_000, 64_000)
