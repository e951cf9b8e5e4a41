"""Sets as they come out: entries in the file and beside it, prefixes, ranges, composites."""

import hashlib
import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xdpctl.errors import TopologyError
from xdpctl.topology import set_lines, set_types
from xdpctl.topology.key_names import SERVICES
from xdpctl.topology.load import load, load_texts
from xdpctl.topology.model import COMPOSITE, Condition, Interval, Location, Set

HEADER = "version: 1\nname: t\ndevices: {}\nsets:\n"
FromFile = Callable[..., Set]
PAIR = "[ip4.saddr, tcp.dport]"


def ip4(text: str) -> int:
    return int(ipaddress.IPv4Address(text))


def ip6(text: str) -> int:
    return int(ipaddress.IPv6Address(text))


def mac(text: str) -> int:
    return int(text.replace(":", ""), 16)


def inline(kind: str, entries: str) -> Set:
    return load_texts({"t": f"{HEADER}  a: {{type: {kind}, entries: [{entries}]}}\n"}).sets["a"]


@pytest.fixture
def from_file(tmp_path: Path) -> FromFile:
    def read(kind: str, data: bytes | str, entries: str = "") -> Set:
        raw = data.encode() if isinstance(data, str) else data
        (tmp_path / "list.txt").write_bytes(raw)
        more = f", entries: [{entries}]" if entries else ""
        text = f"{HEADER}  a: {{type: {kind}, file: list.txt{more}}}\n"
        (tmp_path / "t.yaml").write_text(text)
        found = load([str(tmp_path / "t.yaml")])
        digest = hashlib.sha256(raw).hexdigest()
        assert found.files == {str(tmp_path / "list.txt"): digest}
        return found.sets["a"]

    return read


def contents(found: Set) -> tuple[set[int], dict[int, set[int]]]:
    return set(found.exact), {length: set(some) for length, some in found.prefixes.items()}


@pytest.mark.parametrize(
    ("kind", "entries", "exact", "prefixes"),
    [
        ("ip4", "", [], {}),
        ("ip4", "10.0.0.1, 10.0.0.2, 10.0.0.1", [ip4("10.0.0.1"), ip4("10.0.0.2")], {}),
        ("ip4", "10.0.0.1/32", [ip4("10.0.0.1")], {}),
        ("ip4", "10.0.0.0/8, 192.0.2.0/24, 192.0.3.0/24", [],
         {8: [ip4("10.0.0.0")], 24: [ip4("192.0.2.0"), ip4("192.0.3.0")]}),
        ("ip4", "192.0.2.0/255.255.255.0", [], {24: [ip4("192.0.2.0")]}),
        ("ip4", "0.0.0.0/0", [], {0: [0]}),
        ("ip4", "10.0.0.1-10.0.0.1", [ip4("10.0.0.1")], {}),
        ("ip4", "10.0.0.0-10.0.0.255", [], {24: [ip4("10.0.0.0")]}),
        ("ip4", "10.0.0.1-10.0.0.6", [ip4("10.0.0.1"), ip4("10.0.0.6")],
         {31: [ip4("10.0.0.2"), ip4("10.0.0.4")]}),
        ("ip4", "0.0.0.0-255.255.255.255", [], {0: [0]}),
        ("ip4", "255.255.255.254-255.255.255.255", [], {31: [2**32 - 2]}),
        ("ip4", "[10.0.0.1], [10.0.0.2]", [ip4("10.0.0.1"), ip4("10.0.0.2")], {}),
        ("ip4", '" 10.0.0.1 "', [ip4("10.0.0.1")], {}),
        ("ip6", '"2001:db8::1", "::ffff:10.0.0.1"', [ip6("2001:db8::1"), ip6("::ffff:a00:1")], {}),
        ("ip6", '"2001:db8::/32", "::/0"', [], {0: [0], 32: [ip6("2001:db8::")]}),
        ("ip6", '"::1-::4"', [1, 4], {127: [2]}),
        ("ether", '"02:00:00:00:00:0A", 02-00-00-00-00-0b',
         [mac("02:00:00:00:00:0a"), mac("02:00:00:00:00:0b")], {}),
        ("ether", '"02:aa:bb:00:00:00/24", "02:aa:00:00:00:00/ff:ff:00:00:00:00"', [],
         {16: [mac("02:aa:00:00:00:00")], 24: [mac("02:aa:bb:00:00:00")]}),
        ("ether", '"02:00:00:00:00:00-02:00:00:00:00:02"', [mac("02:00:00:00:00:02")],
         {47: [mac("02:00:00:00:00:00")]}),
        ("port", "80, https, 0, 65535, 0x50", [0, 80, 443, 65535], {}),
        ("port", "8000-8007, ftp-data-telnet", [], {13: [8000], 14: [20]}),
    ],
)  # fmt: skip
def test_plain_sets(
    kind: str, entries: str, exact: list[int], prefixes: dict[int, list[int]]
) -> None:
    found = inline(kind, entries)
    assert contents(found) == (set(exact), {length: set(some) for length, some in prefixes.items()})
    width = {"ip4": 32, "ip6": 128, "ether": 48, "port": 16}[kind]
    assert (found.name, found.type, found.keys, found.bits) == ("a", kind, (), (width,))
    assert found.width == width
    assert len(found) == len(exact) + sum(map(len, prefixes.values()))
    assert list(found.prefixes) == sorted(found.prefixes)
    assert str(found.location) == "t:5:3"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_file_has_comments_and_blank_lines(from_file: FromFile, end: str) -> None:
    lines = [
        "# ours", "", "10.0.0.1", "  10.0.0.2\t", "10.0.0.3# no blank", "   # nothing",
        "192.0.2.0/24  # all of them", "10.0.1.0-10.0.1.1", "10.0.0.1",
    ]  # fmt: skip
    found = from_file("ip4", end.join(lines))
    assert contents(found) == (
        {ip4("10.0.0.1"), ip4("10.0.0.2"), ip4("10.0.0.3")},
        {24: {ip4("192.0.2.0")}, 31: {ip4("10.0.1.0")}},
    )


def test_a_file_may_be_empty_have_a_mark_and_stand_beside_entries(from_file: FromFile) -> None:
    assert contents(from_file("ip4", "")) == (set(), {})
    assert contents(from_file("ip4", "\ufeff10.0.0.1\n")) == ({ip4("10.0.0.1")}, {})
    assert contents(from_file("port", "80", "443")) == ({80, 443}, {})
    assert contents(from_file("port", "# für uns: 東京\n80\n")) == ({80}, {})


def test_a_file_lies_beside_its_topology_or_where_it_says(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "list.txt").write_text("80\n")
    for folder, name in ((tmp_path, "deep/list.txt"), (tmp_path / "deep", "list.txt"),
                         (tmp_path / "deep", tmp_path / "deep" / "list.txt")):  # fmt: skip
        (folder / "t.yaml").write_text(f"{HEADER}  a: {{type: port, file: {name}}}\n")
        assert load([str(folder / "t.yaml")]).sets["a"].exact == {80}


@pytest.mark.parametrize(
    "entries",
    [
        "[10.0.0.1, 80]",
        '[10.0.0.1, "80"]',
        "10.0.0.1 80",
        "10.0.0.1    80",
        '"10.0.0.1,80"',
        '"10.0.0.1, 80"',
        "10.0.0.1 . 80",
        "[10.0.0.1, http]",
        "10.0.0.1 . http",
        "10.0.0.1/32 80-80",
        "10.0.0.1 80, [10.0.0.1, 80]",
    ],
)
def test_a_composite_entry_is_written_in_many_ways(entries: str) -> None:
    found = inline(PAIR, entries)
    assert (found.type, found.keys, found.bits) == (
        "composite", ("ip4.saddr", "tcp.dport"), (32, 16),
    )  # fmt: skip
    assert contents(found) == ({ip4("10.0.0.1") << 16 | 80}, {})


def test_the_value_that_may_be_a_prefix_stands_last() -> None:
    address, port = ip4("10.0.0.0"), 80
    ports = inline(PAIR, "10.0.0.1 8000-8007")
    assert ports.keys == ("ip4.saddr", "tcp.dport")
    assert contents(ports) == (set(), {45: {ip4("10.0.0.1") << 16 | 8000}})
    nets = inline(PAIR, "10.0.0.0/8 80")
    assert (nets.keys, nets.bits) == (("tcp.dport", "ip4.saddr"), (16, 32))
    assert contents(nets) == (set(), {24: {port << 32 | address}})
    both = inline(PAIR, "10.0.0.0/8 80-81, 10.0.0.1 443")
    assert both.keys == ("tcp.dport", "ip4.saddr")
    assert contents(both) == (
        {443 << 32 | ip4("10.0.0.1")}, {24: {80 << 32 | address, 81 << 32 | address}},
    )  # fmt: skip


def test_values_of_a_composite_stand_widest_first_in_whole_bytes() -> None:
    found = inline("[ip4.dscp, tcp.dport, ether.saddr]", '[ef, 80, "02:00:00:00:00:01"]')
    assert found.keys == ("ether.saddr", "tcp.dport", "ip4.dscp")
    assert (found.bits, found.width) == ((64, 16, 8), 88)
    assert contents(found) == ({(mac("02:00:00:00:00:01") << 16 | 80) << 8 | 46}, {})
    macs = inline("[tcp.dport, ether.saddr]", '[80, "02:aa:00:00:00:00/16"]')
    assert (macs.keys, macs.bits) == (("tcp.dport", "ether.saddr"), (16, 64))
    assert contents(macs) == (set(), {48: {80 << 64 | mac("02:aa:00:00:00:00")}})


def test_a_range_that_is_small_is_written_out_where_another_is_large() -> None:
    found = inline("[ip4.saddr, ip4.daddr]", "10.0.0.0/30 192.0.0.0/8, 10.0.0.9 0.0.0.0/0")
    assert found.keys == ("ip4.saddr", "ip4.daddr")
    heads = {ip4("10.0.0.0") + number << 32 | ip4("192.0.0.0") for number in range(4)}
    assert contents(found) == (set(), {32: {ip4("10.0.0.9") << 32}, 40: heads})


def test_a_composite_file(from_file: FromFile) -> None:
    lines = ["10.0.0.1 80", "", "  10.0.0.1,443 # x", "10.0.0.2 . http", "10.0.0.1\t80"]
    found = from_file(PAIR, "\r\n".join(lines), "10.0.0.9 9")
    wanted = {("10.0.0.1", 80), ("10.0.0.1", 443), ("10.0.0.2", 80), ("10.0.0.9", 9)}
    assert contents(found) == ({ip4(one) << 16 | port for one, port in wanted}, {})


def test_a_set_of_one_file_is_used_in_another() -> None:
    found = load_texts(
        {
            "a": HEADER.replace("sets:\n", "")
            + 'policies:\n  p: {rules: [{match: {ip4.saddr: ["!@b", "!10.0.0.1"], '
            'tcp.dport: "! @ ports"}, action: drop}, {match: {set: "!@pairs"}, action: drop}, '
            '{match: {"tcp.dport . ip4.saddr": "@pairs"}, action: drop}]}\n',
            "b": "sets:\n  b: {type: ip4, entries: []}\n  ports: {type: port, entries: [80]}\n"
            f"  pairs: {{type: {PAIR}, entries: []}}\n",
        }
    )
    sets, rules = found.sets, found.policies["p"].rules
    spans = (Interval(ip4("10.0.0.1"), ip4("10.0.0.1")),)
    assert rules[0].conditions == (
        Condition("ip4.saddr", spans, negated=True, sets=(sets["b"],)),
        Condition("tcp.dport", (), negated=True, sets=(sets["ports"],)),
    )
    assert rules[1].conditions == (Condition(COMPOSITE, (), negated=True, sets=(sets["pairs"],)),)
    assert rules[2].conditions == (Condition(COMPOSITE, (), sets=(sets["pairs"],)),)
    assert rules[1].conditions[0].keys == ("ip4.saddr", "tcp.dport")
    assert str(sets["ports"].location) == "b:3:3"


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        (["ip4.saddr", "ip4.daddr", "arp.spa", "arp.tpa"], "ip4"),
        (["ip6.saddr", "ip6.daddr"], "ip6"),
        (["ether.saddr", "ether.daddr"], "ether"),
        (["tcp.sport", "tcp.dport", "udp.sport", "udp.dport", "sctp.sport", "sctp.dport",
          "meta.sport", "meta.dport"], "port"),
    ],
)  # fmt: skip
def test_which_keys_take_which_sets(keys: list[str], kind: str) -> None:
    rules = ", ".join(f'{{match: {{{key}: "@a"}}, action: drop}}' for key in keys)
    text = f"{HEADER}  a: {{type: {kind}, entries: []}}\npolicies: {{p: {{rules: [{rules}]}}}}\n"
    found = load_texts({"t": text})
    assert [rule.conditions for rule in found.policies["p"].rules] == [
        (Condition(key, (), sets=(found.sets["a"],)),) for key in keys
    ]


def test_ranges_of_all_sets_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short text would fill the memory: this is told, and what is beyond is not even tried."""
    monkeypatch.setattr(set_types, "MOST_WRITTEN", 1000)
    monkeypatch.setattr(set_types.Budget, "__init__", lambda self: setattr(self, "left", 1000))
    wide = ", ".join(f"10.0.{number}.1 1-100" for number in range(5))
    lines = "".join(f"  s{number}: {{type: {PAIR}, entries: [{wide}]}}\n" for number in range(3))
    load_texts({"t": HEADER + lines})
    wide = ", ".join(f"10.0.{number}.0/24 1-100" for number in range(15))
    text = f"{HEADER}  a: {{type: {PAIR}, entries: [{wide}]}}\n"
    with pytest.raises(TopologyError) as error:
        load_texts({"t": text + "  b: {type: ip4, entries: [0.0.0.1-0.0.1.7, 0.0.0.1-0.0.1.7]}\n"})
    message = "the ranges of all sets stand for more than 1000 entries"
    assert str(error.value) == f"t:5:3: set a: {message}\nt:6:28: set b: {message}"


def test_a_large_file_is_read_in_blocks_by_c_functions(
    from_file: FromFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not plain costs no more than a few lines around it."""
    careful: list[int] = []
    line = set_lines._line

    def watched(text: str, where: Location, *others: Any) -> bool:
        careful.append(where.line)
        return line(text, where, *others)

    monkeypatch.setattr(set_lines, "_line", watched)
    count = 20_000
    v4 = [str(ipaddress.IPv4Address(number * 65_537)) for number in range(count)]
    plain = {
        "ip4": v4,
        "ip6": [str(ipaddress.IPv6Address(number << 64 | number)) for number in range(count)],
        "ether": [number.to_bytes(6, "big").hex(":") for number in range(count)],
        "port": [*map(str, range(count))],
        PAIR: [f"{one} {number}" for number, one in enumerate(v4)],
        "[tcp.dport, ether.saddr]": [f"{n}, 02:00:00:00:00:{n % 256:02x}" for n in range(count)],
    }
    for kind, lines in plain.items():
        assert len(from_file(kind, "\n".join(lines))) == len(lines)
        assert len(from_file(kind, "".join(f"  {line} # x\r\n\r\n" for line in lines))) == len(
            lines
        )
    nets = [f"{one}/32" if number % 2 else f"10.{number >> 8}.{number & 254}.0/24"
            for number, one in enumerate(v4)]  # fmt: skip
    from_file("ip4", "\n".join(nets))
    from_file(PAIR, "\n".join(f"{net} . {n}" for n, net in enumerate(nets)))
    assert careful == []
    v4[7777] = "10.0.0.1-10.0.0.9"
    from_file("ip4", "\n".join(v4))
    assert 7778 in careful
    assert len(careful) <= set_lines._ONE_BY_ONE


def test_a_wrong_line_of_a_large_file_is_told_with_its_number(from_file: FromFile) -> None:
    lines = [f"10.0.{number >> 8}.{number & 255} {number}" for number in range(10_000)]
    lines[4095] = "  10.0.0.1  70000"
    lines[4096] = "10.0.0.1"
    lines[9999] = "10.0.0.1 . https-http"
    with pytest.raises(TopologyError) as error:
        from_file(PAIR, "\n".join(lines))
    assert [(one.line, one.column) for one in error.value.problems] == [
        (4096, 13), (4097, 1), (10_000, 12),
    ]  # fmt: skip


def test_services_by_name_in_a_file(from_file: FromFile) -> None:
    assert from_file("port", "\n".join(SERVICES)).exact == frozenset(SERVICES.values())
