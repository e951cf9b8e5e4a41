"""Sets change where they are: no program is replaced, no count forgotten, no frame misjudged."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.inside import entries, entries_id, held, pipeline, programs
from tests.kernel.rig import BROADCAST, DB, SENDER, WEB, Rig, Traffic, raw_socket, rules, udp_frame
from tests.kernel.test_no_writes import CALLS, written
from xdpctl.apply import run
from xdpctl.bpf import maps
from xdpctl.datapath import map_names, set_maps
from xdpctl.datapath.layout import INDEX
from xdpctl.topology.load import load_texts

pytestmark = pytest.mark.kernel

PEER = "10.0.0.99"
"""The source address of the rig's frames."""
TEXT = f"""\
version: 1
name: edge
devices:
  eth0: {{kind: physical}}
  web0: {{kind: macvlan, parent: eth0, mode: bridge, address: "{WEB}", state: up,
         xdp: {{policy: web}}}}
  db0: {{kind: macvlan, parent: eth0, mode: bridge, address: "{DB}", state: up,
        xdp: {{policy: db}}}}
policies:
  web: {{default: drop, rules: [{{name: friends, match: {{ip4.saddr: "@known"}}, action: pass}}]}}
  db: {{default: pass, rules: [{{name: foes, match: {{ip4.saddr: "@known"}}, action: drop}}]}}
sets:
  known: {{type: ip4, WHAT}}
"""
"""A set that two policies look into, the one to pass and the other to drop."""
STEPS = [(WEB, 9000, "web0"), (DB, 9000, "db0")]


def listed(*values: str) -> str:
    return TEXT.replace("WHAT", f"entries: [{', '.join(values)}]")


def of_file(file: Path, values: list[str]) -> str:
    file.write_text("\n".join(values) + "\n")
    return TEXT.replace("WHAT", f"file: {file}")


def many(first: int, count: int) -> list[str]:
    """Addresses of 172.16.0.0/12, by number."""
    return [f"172.{16 + (n >> 16)}.{n >> 8 & 255}.{n & 255}" for n in range(first, first + count)]


def listening(rig: Rig, text: str) -> Rig:
    rig.apply(text)
    for device in ("web0", "db0"):
        rig.listen(device, (9000,))
    return rig


def changes(rig: Rig, text: str) -> dict[str, tuple[Any, Any]]:
    """What the plan says of the root."""
    (row,) = rig.plan(text).actions
    return {name: (each.before, each.after) for name, each in row.changes.items()}


def arrive(rig: Rig) -> set[str]:
    """Which of the two devices get frames from the peer."""
    for to, port, device in STEPS:
        rig.send(to, port, for_=device, count=2)
    return {device for device, _ in rig.received()}


# --- where they are


@pytest.mark.parametrize(
    ("first", "second", "passed"),
    [
        ((PEER, "10.9.9.9"), ("10.9.9.9",), "db0"),
        (("10.9.9.9",), (PEER, "10.9.9.9"), "web0"),
        (("10.0.0.0/24", "10.9.9.9"), ("10.9.9.9", "10.9.8.0/24"), "db0"),
        (("10.9.0.0/24",), ("10.9.0.0/24", "10.0.0.96/29"), "web0"),
    ],
)
def test_one_entry_is_written_in_place(
    rig: Rig, first: tuple[str, ...], second: tuple[str, ...], passed: str
) -> None:
    listening(rig, listed(*first))
    before = programs(rig), entries_id(rig, "known"), pipeline(rig).maps
    other = {"web0": "db0", "db0": "web0"}[passed]
    assert arrive(rig) == {other}
    counted = rules(rig.show()["web0"])["friends"]
    rig.apply(listed(*second))
    one = abs(len(first) - len(second)) == 1
    assert (entries_id(rig, "known") == before[1]) == one
    assert (programs(rig), pipeline(rig).maps) == (before[0], before[2])
    assert arrive(rig) == {passed}
    assert rules(rig.show()["web0"])["friends"] == counted + (2 if passed == "web0" else 0)
    assert held(rig, "known") == len(second)
    assert not rig.plan(listed(*second)).changed


def test_many_entries_come_all_at_once_in_a_new_map(rig: Rig) -> None:
    listening(rig, listed(PEER, "10.9.9.9"))
    before = programs(rig), entries_id(rig, "known"), pipeline(rig).maps
    arrive(rig)
    counted = rules(rig.show()["web0"])["friends"]
    rig.apply(listed(PEER, "10.9.9.8", "10.9.9.7"))
    assert entries_id(rig, "known") != before[1]
    assert (programs(rig), pipeline(rig).maps) == (before[0], before[2])
    assert arrive(rig) == {"web0"}
    assert rules(rig.show()["web0"])["friends"] == counted + 2
    assert held(rig, "known") == 3


def test_entries_outgrow_their_map_one_by_one(rig: Rig) -> None:
    """A map has room for some more than it was made with; then there must be another one."""
    listening(rig, listed(PEER))
    found = [entries_id(rig, "known")]
    for count in range(1, 40):
        rig.apply(listed(PEER, *many(0, count)))
        assert held(rig, "known") == 1 + count
        found.append(entries_id(rig, "known"))
    assert 1 < len(set(found)) < 5
    assert arrive(rig) == {"web0"}


def test_an_empty_set_has_nobody_in_it(rig: Rig) -> None:
    listening(rig, listed())
    assert arrive(rig) == {"db0"}
    rig.apply(listed(PEER))
    assert arrive(rig) == {"web0"}
    rig.apply(listed())
    assert arrive(rig) == {"db0"}


# --- what the plan says


def test_the_plan_tells_numbers_and_digests(rig: Rig) -> None:
    rig.apply(listed(PEER))
    (name, (before, after)), *more = changes(rig, listed(PEER, "10.9.9.9")).items()
    assert (name, more) == ("set known", [])
    assert before.startswith("1 entry (")
    assert after.startswith("2 entries (")
    assert before.split("(")[1] != after.split("(")[1]
    assert not rig.plan(listed(PEER, PEER)).changed, "the same entry twice is one"
    rig.apply(listed("10.9.9.9", PEER))
    assert not rig.plan(listed(PEER, "10.9.9.9")).changed, "the order is nothing"


def test_a_file_of_entries_is_what_it_was_when_it_is_read(rig: Rig, tmp_path: Path) -> None:
    file = tmp_path / "known.txt"
    listening(rig, of_file(file, [PEER, "10.9.9.9 # a comment"]))
    assert arrive(rig) == {"web0"}
    text = of_file(file, ["10.9.9.9"])
    assert changes(rig, text).keys() == {"set known"}
    rig.apply(text)
    assert arrive(rig) == {"db0"}


def test_a_second_apply_writes_nothing(rig: Rig, tmp_path: Path) -> None:
    text = of_file(tmp_path / "known.txt", [PEER, *many(0, 500)])
    rig.apply(text)
    file, log = tmp_path / "edge.yaml", tmp_path / "trace"
    file.write_text(text)
    command = [sys.executable, "-m", "xdpctl", "--netns", rig.nic.name, "apply", str(file), "--yes"]
    strace = [*rig.nic.command("strace"), "-f", "-v", "-s", "1000000", "-o", str(log)]
    subprocess.run(
        [*strace, "-e", "trace=" + ",".join(CALLS), *command],
        check=True, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert not written(log.read_text())
    of_file(tmp_path / "known.txt", [PEER, *many(0, 501)])
    subprocess.run(
        [*strace, "-e", "trace=" + ",".join(CALLS), *command],
        check=True, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    found = written(log.read_text())
    assert found == {"BPF_MAP_UPDATE_ELEM": 3}, "not known, the entry, known"


def test_a_set_that_is_renamed_and_one_that_goes(rig: Rig) -> None:
    listening(rig, listed(PEER))
    renamed = listed(PEER).replace("known", "kin")
    assert {"set known", "set kin"} <= changes(rig, renamed).keys()
    rig.apply(renamed)
    assert arrive(rig) == {"web0"}
    assert pipeline(rig).sets.keys() == {"kin"}
    without = listed(PEER).replace('ip4.saddr: "@known"', "ip4.saddr: 10.0.0.98")
    rig.apply(without)
    assert arrive(rig) == {"db0"}
    assert not pipeline(rig).sets


def test_a_set_in_the_policies_of_two_roots(rig: Rig) -> None:
    """Each root has maps of its own, and all are written."""
    rig.nic.ip(
        "link", "add", "eth1", "type", "veth", "peer", "name", "wire1", "netns", rig.wire.name
    )
    rig.nic.ip("link", "set", "eth1", "up")
    rig.wire.ip("link", "set", "wire1", "up")
    with rig.wire.entered():
        rig.senders["wire1"] = raw_socket("wire1")
    two = TEXT.replace(
        "policies:",
        '  far0: {kind: macvlan, parent: eth1, address: "02:00:00:00:00:20", state: up, '
        "xdp: {policy: web}}\npolicies:",
    ).replace("  eth0:", "  eth1: {kind: physical}\n  eth0:")
    listening(rig, two.replace("WHAT", f"entries: [{PEER}]"))
    rig.listen("far0", (9000,))
    rig.send("02:00:00:00:00:20", 9000, by="wire1", for_="far0")
    assert rig.received() == {("far0", 9000): 5}
    rig.apply(two.replace("WHAT", "entries: []"))
    rig.send("02:00:00:00:00:20", 9000, by="wire1", for_="far0")
    assert rig.received() == {}
    assert [str(pipeline(rig, root).sets["known"])[:9] for root in ("eth0", "eth1")] == [
        "0 entries"
    ] * 2
    assert entries_id(rig, "known") != entries_id(rig, "known", "eth1")


# --- under traffic


def test_who_is_in_both_is_never_misjudged(rig: Rig, tmp_path: Path) -> None:
    """10,000 entries are swapped for 10,000 others, again and again, while frames come."""
    file = tmp_path / "known.txt"
    swaps = [[PEER, *many(first, 10_000)] for first in (0, 100_000)]
    listening(rig, of_file(file, swaps[0]))
    before = rules(rig.show()["web0"])["friends"], programs(rig)
    with Traffic(rig, STEPS) as traffic:
        for turn in range(1, 21):
            assert rig.apply(of_file(file, swaps[turn % 2])).applied
    sent = traffic.sent["web0", 9000]
    assert sent > 500
    assert rig.received() == {("web0", 9000): sent}
    assert rules(rig.show()["web0"])["friends"] - before[0] == sent
    assert programs(rig) == before[1]


def test_a_prefix_comes_into_an_exact_set_and_goes(rig: Rig) -> None:
    """The map's kind changes, so the policies are compiled anew; no frame is misjudged."""
    texts = [listed(PEER, "10.9.9.9"), listed(PEER, "10.9.0.0/16")]
    listening(rig, texts[0])
    kinds = []
    with Traffic(rig, STEPS) as traffic:
        for turn in range(1, 11):
            rig.apply(texts[turn % 2])
            with entries(rig, "known") as opened:
                kinds.append(opened.info.type)
    assert kinds == [maps.MapType.LPM_TRIE, maps.MapType.HASH] * 5
    assert traffic.sent["web0", 9000] > 100
    assert rig.received() == {("web0", 9000): traffic.sent["web0", 9000]}


def test_a_set_outlives_an_edit_and_a_rebuild(rig: Rig) -> None:
    listening(rig, listed(PEER))
    first = entries_id(rig, "known")
    edited = listed(PEER).replace("rules: [{name: friends", "rules: [{name: mates")
    rig.apply(edited)
    assert entries_id(rig, "known") == first
    more = ", ".join(f"{{match: {{udp.dport: {n + 1}}}, action: pass}}" for n in range(40))
    with Traffic(rig, STEPS) as traffic:
        rig.apply(listed(PEER).replace("rules: [{name: friends", f"rules: [{more}, {{name: mates"))
    assert entries_id(rig, "known") != first
    assert rig.received() == {("web0", 9000): traffic.sent["web0", 9000]}


# --- every type, wherever frames come by


@dataclass(frozen=True)
class Kind:
    """A type of set: the entries, one more, a frame that is in it and one that only then is."""

    type: str
    key: str
    entries: str
    more: str
    inside: dict[str, Any] = field(default_factory=dict)
    outside: dict[str, Any] = field(default_factory=dict)


ALL = {
    "ip4": Kind("ip4", "ip4.saddr", "10.0.0.99", "10.0.0.98", outside={"saddr": "10.0.0.98"}),
    "ip4-prefix": Kind(
        "ip4", "ip4.saddr", "10.0.0.98/31", "10.0.0.96/31", outside={"saddr": "10.0.0.97"}
    ),
    "ip6": Kind(
        "ip6", "ip6.saddr", "fd00::99", "fd00::98",
        inside={"saddr": "fd00::99"}, outside={"saddr": "fd00::98"},
    ),
    "ip6-prefix": Kind(
        "ip6", "ip6.saddr", "fd00::90/124", "fd00::80/124",
        inside={"saddr": "fd00::99"}, outside={"saddr": "fd00::8f"},
    ),
    "ether": Kind(
        "ether", "ether.saddr", SENDER, "02:aa:aa:aa:aa:ab",
        outside={"source": "02:aa:aa:aa:aa:ab"},
    ),
    "port": Kind("port", "udp.dport", "9000", "9001-9003", outside={"port": 9001}),
    "composite": Kind(
        "[ip4.saddr, udp.dport]", "set", "[10.0.0.99, 9000]", "[10.0.0.99, 9001]",
        outside={"port": 9001},
    ),
    "composite-prefix": Kind(
        "[udp.dport, ip4.saddr]", "set", "[9000, 10.0.0.96/28]", "[9001, 10.0.0.99/32]",
        outside={"port": 9001},
    ),
}  # fmt: skip


@pytest.mark.parametrize("mode", ["native", "generic"])
@pytest.mark.parametrize("kind", ALL.values(), ids=ALL)
def test_every_type_from_the_wire_flooded_and_of_a_sibling(rig: Rig, kind: Kind, mode: str) -> None:
    text = f"""\
version: 1
name: edge
devices:
  eth0: {{kind: physical, xdp: {{mode: {mode}}}}}
  web0: {{kind: macvlan, parent: eth0, mode: bridge, address: "{WEB}", state: up,
         xdp: {{policy: web}}}}
  db0: {{kind: macvlan, parent: eth0, mode: bridge, address: "{DB}", state: up}}
policies:
  web: {{default: drop, rules: [{{match: {{{kind.key}: "@some"}}, action: pass}}]}}
sets: {{some: {{type: {kind.type}, entries: [{{}}]}}}}
"""
    rig.apply(text.replace("{}", kind.entries))
    rig.listen("web0")
    rig.listen("db0", ())
    listen6(rig)
    assert arrivals(rig, kind.inside) == [3, 4, 5]
    assert arrivals(rig, kind.outside) == [0, 0, 0]
    before = programs(rig)
    rig.apply(text.replace("{}", f"{kind.entries}, {kind.more}"))
    assert programs(rig) == before
    assert arrivals(rig, kind.outside) == [3, 4, 5]
    rig.apply(text.replace("{}", kind.more))
    assert arrivals(rig, kind.inside) == [0, 0, 0]


def listen6(rig: Rig) -> None:
    """The same ports over IPv6."""
    rig.nic.run("sysctl", "-qw", "net.ipv6.conf.web0.disable_ipv6=0")
    rig.nic.ip("addr", "add", "fd00::10/64", "dev", "web0", "nodad")
    with rig.nic.entered():
        for port in (9000, 9001):
            made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"web0")
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.bind(("::", port))
            made.setblocking(False)
            rig.receivers["web0 over IPv6", port] = made


def arrivals(rig: Rig, fields: dict[str, Any]) -> list[int]:
    """How many arrive of three from the wire, of four flooded ones, of five of a sibling."""
    found = []
    for count, (by, to) in enumerate((("wire", WEB), ("wire", BROADCAST), ("db0", WEB)), start=3):
        frame = udp6(to, **fields) if ":" in fields.get("saddr", "") else udp4(to, **fields)
        for _ in range(count):
            rig.senders[by].send(frame)
        found.append(sum(rig.received().values()))
    return found


def udp4(to: str, port: int = 9000, **fields: Any) -> bytes:
    return udp_frame(
        to, port, daddr="10.0.0.255" if to == BROADCAST else "10.0.0.10",
        **{"saddr": PEER, **fields},
    )  # fmt: skip


def udp6(to: str, saddr: str, port: int = 9000) -> bytes:
    group = to == BROADCAST
    source, target = IPv6Address(saddr), IPv6Address("ff02::1" if group else "fd00::10")
    data = struct.pack("!HHHH", 12345, port, 26, 0) + bytes(18)
    total = sum(struct.unpack(f"!{29 + 4}H", source.packed + target.packed + data + bytes(8)))
    total += len(data) + 17
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    data = data[:6] + struct.pack("!H", ~total & 0xFFFF or 0xFFFF) + data[8:]
    header = struct.pack("!IHBB", 6 << 28, len(data), 17, 64) + source.packed + target.packed
    to = "33:33:00:00:00:01" if group else to
    return bytes.fromhex((to + SENDER).replace(":", "")) + b"\x86\xdd" + header + data


# --- very many


def test_a_million_entries(rig: Rig, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Loaded, and then one more."""
    file = tmp_path / "known.txt"
    every = many(0, 1_000_000)
    loaded = timed(lambda: listening(rig, of_file(file, every)))
    assert arrive(rig) == {"db0"}
    added = timed(lambda: rig.apply(of_file(file, [*every, PEER])))
    with capsys.disabled():
        print(f"\n1,000,000 entries: loaded in {loaded:.1f} s, one added in {added:.1f} s")  # noqa: T201
    assert arrive(rig) == {"web0"}
    with entries(rig, "known") as opened:
        assert len(opened.read_keys()) == 4 * 1_000_001


def timed(action: Callable[[], object]) -> float:
    start = time.monotonic()
    action()
    return time.monotonic() - start


# --- runs that were killed


@pytest.mark.parametrize("many_at_once", [False, True], ids=["one entry", "many"])
@pytest.mark.parametrize("function", ["change", "put"])
def test_what_a_killed_run_left_is_mended(rig: Rig, function: str, many_at_once: bool) -> None:
    wanted = listed("10.9.9.1", "10.9.9.9", *(["10.9.9.2", PEER] if many_at_once else [PEER]))
    listening(rig, listed("10.9.9.1", "10.9.9.9"))
    killed = kill_at(rig, wanted, function)
    assert killed == ((function == "put") == many_at_once), "there are two ways to change a set"
    if not killed:
        return
    assert pipeline(rig).sets == {"known": None}
    assert changes(rig, wanted)["set known"][0] == "not known"
    assert changes(rig, listed("10.9.9.1", "10.9.9.9"))["set known"][0] == "not known"
    rig.apply(wanted)
    assert not rig.plan(wanted).changed
    assert arrive(rig) == {"web0"}


def kill_at(rig: Rig, text: str, function: str) -> bool:
    """Apply in a child that is killed where it would call this function of set_maps."""
    child = os.fork()
    if not child:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(set_maps, function, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
            try:
                with rig.nic.entered():
                    run.apply(load_texts({"topo.yaml": text}))
            finally:
                os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_entries_that_are_not_known_are_written_whole(rig: Rig) -> None:
    """Half of them are gone, and one that nobody wants is there."""
    text = listed(PEER, *many(0, 100))
    listening(rig, text)
    found = pipeline(rig)
    index = found.description.sets["known"].index
    with entries(rig, "known") as opened, maps.open_id(found.maps[map_names.SETS]) as states:
        states.update(INDEX.pack(index), bytes(set_maps.STATE.size))
        for key in list(opened.keys())[:50]:
            opened.delete(key)
        opened.update(b"\1\2\3\4", b"\1")
    assert rig.plan(text).changed
    rig.apply(text)
    assert held(rig, "known") == 101
    assert arrive(rig) == {"web0"}
    assert not rig.plan(text).changed
