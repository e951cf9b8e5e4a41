"""What a run writes, counted by strace and by a netlink monitor: what is due, and no more."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.kernel.conftest import Netns, eventually
from tests.kernel.rig import Rig

pytestmark = pytest.mark.kernel

BPF_WRITES = frozenset(
    "BPF_" + name
    for name in (
        "MAP_CREATE", "MAP_UPDATE_ELEM", "MAP_UPDATE_BATCH", "MAP_DELETE_ELEM", "MAP_DELETE_BATCH",
        "MAP_LOOKUP_AND_DELETE_ELEM", "MAP_FREEZE", "PROG_LOAD", "PROG_ATTACH", "PROG_DETACH",
        "PROG_BIND_MAP", "PROG_TEST_RUN", "OBJ_PIN", "LINK_CREATE", "LINK_UPDATE", "LINK_DETACH",
        "BTF_LOAD",
    )
)  # fmt: skip
FILE_WRITES = ("mkdir", "mkdirat", "rename", "renameat2", "rmdir", "unlink", "unlinkat", "ioctl")
CALLS = ("bpf", "sendto", "sendmsg", "sendmmsg", *FILE_WRITES)

EDGE = """\
version: 1
name: edge
devices:
  eth0: {kind: physical, mtu: 1600, state: up, xdp: {unknown: drop, policy: guard}}
  web0:
    {kind: macvlan, parent: eth0, mode: bridge, address: "02:00:00:00:00:10", state: up,
     xdp: {policy: web}}
  db0: {kind: macvtap, parent: eth0, mode: bridge, state: up, xdp: {policy: db, flood: drop}}
  v0: {kind: veth, peer: v1, state: up}
  br0: {kind: bridge, ports: [v0], state: up}
  tap0: {kind: tap, state: up}
policies:
  guard: {rules: [{name: never, match: {udp.dport: 9999}, action: drop}]}
  web: {default: drop, rules: [{name: only, match: {udp.dport: 9000}, action: pass}]}
  db: {default: pass, rules: [{name: not, match: {udp.dport: [9000, 9001]}, action: drop}]}
"""
TENANTS = """\
version: 1
name: edge
devices:
  eth0: {kind: physical}
  "tenant[1-COUNT]":
    {kind: macvlan, parent: eth0, address: {base: "02:00:00:01:00:00"}, xdp: {policy: tenant}}
policies:
  tenant:
    default: drop
    rules: [{name: only, match: {udp.dport: 9000, ip4.saddr: "@known"}, action: pass}]
sets: {known: {type: ip4, entries: [192.0.2.1, 192.0.2.2]}}
"""


@pytest.fixture
def nic(netnses: Callable[[], Netns]) -> Iterator[Netns]:
    rig = Rig(netnses(), netnses())
    rig.connect()
    try:
        yield rig.nic
    finally:
        rig.close()


@pytest.fixture
def traced(nic: Netns, tmp_path: Path) -> Callable[[str], Counter[str]]:
    """Applies a topology with the real command; what it wrote, by bpf(2) command, netlink
    message type, or system call.
    """

    def run(text: str) -> Counter[str]:
        file, log = tmp_path / "edge.yaml", tmp_path / "trace"
        file.write_text(text)
        log.unlink(missing_ok=True)
        command = [sys.executable, "-m", "xdpctl", "--netns", nic.name, "apply", str(file), "--yes"]
        # Inside, too: strace can tell a netlink socket only in its own namespace.
        strace = [*nic.command("strace"), "-f", "-v", "-s", "1000000", "-o", str(log)]
        subprocess.run(
            [*strace, "-e", "trace=" + ",".join(CALLS), *command],
            check=True, capture_output=True, text=True, timeout=240,
        )  # fmt: skip
        return written(log.read_text())

    return run


def written(log: str) -> Counter[str]:
    """The writes that strace saw."""
    found: Counter[str] = Counter()
    for line in log.splitlines():
        call = re.match(r"\d+ +(\w+)\((.*)", line)
        if call is None:
            continue
        name, rest = call.groups()
        if name == "bpf":
            found.update([rest.split(",")[0]] if rest.split(",")[0] in BPF_WRITES else [])
        elif name.startswith("send"):
            found.update(re.findall(r"nlmsg_type=(RTM_(?:NEW|SET|DEL)\w+)", rest))
        elif "/sys/fs/bpf" in rest or "TUNSET" in rest:
            found[name] += 1
    return found


def test_a_second_apply_writes_nothing(nic: Netns, traced: Callable[[str], Counter[str]]) -> None:
    first = traced(EDGE)
    for name in ("BPF_PROG_LOAD", "BPF_LINK_CREATE", "RTM_NEWLINK", "RTM_NEWTFILTER", "ioctl"):
        assert first[name], first
    assert traced(EDGE) == Counter()


def test_a_monitor_sees_nothing_of_a_second_apply(
    nic: Netns, traced: Callable[[str], Counter[str]]
) -> None:
    with monitored(nic) as seen:
        traced(EDGE)
        assert any("web0" in line for line in seen())
    time.sleep(1)  # until what the kernel itself announces late has come
    with monitored(nic) as seen:
        traced(EDGE)
        assert seen() == []


@contextmanager
def monitored(nic: Netns) -> Iterator[Callable[[], list[str]]]:
    """Gives what `ip monitor` has said of other devices than lo, which marks begin and end."""
    with subprocess.Popen(["ip", "-n", nic.name, "monitor"], stdout=subprocess.PIPE) as monitor:
        assert monitor.stdout is not None
        descriptor, text = monitor.stdout.fileno(), ""
        os.set_blocking(descriptor, False)

        def heard(mtu: str) -> bool:
            nonlocal text
            for each in ("65536", mtu):  # a change each time: it may not be listening yet
                nic.ip("link", "set", "lo", "mtu", each)
            with suppress(BlockingIOError):
                text += os.read(descriptor, 1 << 20).decode()
            return f"mtu {mtu} " in text

        def seen() -> list[str]:
            assert eventually(lambda: heard("60002"))
            return re.findall(r"^(?:\[.*\])?(?:Deleted )?\d+: (?!lo\b)\S+", text, re.MULTILINE)

        try:
            assert eventually(lambda: heard("60001"))
            yield seen
        finally:
            monitor.terminate()


def test_a_rule_edited_for_many_devices_is_a_handful_of_writes(
    traced: Callable[[str], Counter[str]],
) -> None:
    few = TENANTS.replace("COUNT", "200")
    traced(few)
    edit = traced(few.replace("9000", "9001"))
    print(f"one rule edited for 200 devices: {dict(edit)}")  # noqa: T201 (the figures are worth seeing)
    assert not [name for name in edit if name.startswith("RTM_")]
    assert edit["BPF_LINK_UPDATE"] == 1
    assert edit["BPF_MAP_UPDATE_ELEM"] <= 4  # the police, the description, the programs' rows
    assert edit.total() <= 30
    more = traced(few.replace("9000", "9001").replace("1-200", "1-201"))
    print(f"one device added to 200: {dict(more)}")  # noqa: T201 (the figures are worth seeing)
    assert not more.keys() & {"BPF_PROG_LOAD", "BPF_MAP_CREATE", "BPF_LINK_UPDATE"}
    assert sum(more[name] for name in more if name.startswith("BPF_")) <= 5
    assert sum(more[name] for name in more if name.startswith("RTM_")) <= 5


def test_an_entry_added_to_a_set_of_many_devices_is_a_handful_of_writes(
    traced: Callable[[str], Counter[str]],
) -> None:
    many = TENANTS.replace("COUNT", "400")
    traced(many)
    edit = traced(many.replace("192.0.2.2]", "192.0.2.2, 192.0.2.3]"))
    print(f"one entry added for 400 devices: {dict(edit)}")  # noqa: T201 (the figures are worth seeing)
    assert not [name for name in edit if name.startswith("RTM_")]
    assert not edit.keys() & {"BPF_PROG_LOAD", "BPF_LINK_UPDATE"}
    assert edit.total() <= 8


def test_qdiscs_come_before_filters_and_a_plan_asks_for_many_at_once(
    nic: Netns, tmp_path: Path
) -> None:
    """A filter right after its qdisc waits for all readers; a question each is a call each."""
    file = tmp_path / "edge.yaml"
    file.write_text(TENANTS.replace("COUNT", "400"))
    sent = messages(nic, tmp_path, "apply", str(file), "--yes")
    kinds = [kind for kind in sent if kind in {"RTM_NEWQDISC", "RTM_NEWTFILTER"}]
    assert kinds == ["RTM_NEWQDISC"] * 400 + ["RTM_NEWTFILTER"] * 400
    calls = messages(nic, tmp_path, "plan", str(file), each="sendto(")
    assert len(calls) < 30


def messages(nic: Netns, folder: Path, *command: str, each: str = "") -> list[str]:
    """The types of the netlink messages that a command sends; or its calls that have `each`."""
    log = folder / "messages"
    strace = [*nic.command("strace"), "-f", "-v", "-s", "1000000", "-o", str(log)]
    whole = [sys.executable, "-m", "xdpctl", "--netns", nic.name, *command]
    subprocess.run(
        [*strace, "-e", "trace=sendto,sendmsg,sendmmsg", *whole],
        check=True, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    text = log.read_text()
    if each:
        return [line for line in text.splitlines() if each in line]
    return re.findall(r"nlmsg_type=(RTM_NEW\w+)", text)
