"""plan, apply and destroy on a real kernel, without the datapath."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kernel.conftest import Netns
from xdpctl.apply import links, lock, run
from xdpctl.errors import (
    ApplyError,
    ConflictError,
    LockedError,
    MissingError,
    StalePlanError,
    XdpctlError,
)
from xdpctl.host.netlink import Netlink
from xdpctl.plan import saved
from xdpctl.plan.operation import Operation
from xdpctl.topology.load import load_texts
from xdpctl.topology.model import Topology

pytestmark = pytest.mark.kernel

ETH0 = "  eth0: {kind: physical}\n"
WEB0 = '  web0: {kind: macvlan, parent: eth0, mode: bridge, address: "02:00:00:00:00:10"}\n'
EVERYTHING = """\
  eth0: {kind: physical, mtu: 1600, state: up}
  web0: {kind: macvlan, parent: eth0, mode: 4, mtu: "1550", state: up, bcqueuelen: 77, bclim: 3}
  src0: {kind: macvlan, parent: eth0, mode: source, macaddr: ["02:11:00:00:00:01"], flag: nodst}
  vm0: {kind: macvtap, parent: eth0, mode: private, state: up, txqueuelen: 400, group: 5}
  br0: {kind: bridge, ports: [v0, {tap0: {cost: 7, isolated: on}}], mtu: 1400, state: up,
        ageing-time: 100, stp_state: 1, mcast_startup_query_interval: 777}
  v0: {kind: veth, peer: v1, state: up, numtxqueues: 2}
  v2: {kind: veth, peer: v3, arp: off, promisc: on}
  v3: {kind: veth, peer: v2, state: up, mtu: 1300}
  tap0: {kind: tap, state: up, user: 7, multi_queue: on, vnet_hdr: on}
  vx: {kind: vxlan, id: "7", dstport: 4789, state: up, ttl: 9, learning: off}
"""


def topology(devices: str, name: str = "edge") -> Topology:
    return load_texts({"t.yaml": f"version: 1\nname: {name}\ndevices:\n{devices}"})


@pytest.fixture
def host(netns: Netns) -> Iterator[Netns]:
    """A namespace with a NIC, and this thread in it."""
    netns.ip("link", "add", "eth0", "type", "veth", "peer", "name", "wire")
    with netns.entered():
        yield netns


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every netlink write."""
    found: list[str] = []
    batch = Netlink.batch

    def counted(
        netlink: Netlink, requests: Sequence[tuple[bytes, str]]
    ) -> list[XdpctlError | None]:
        found.extend(operation for _, operation in requests)
        return batch(netlink, requests)

    monkeypatch.setattr(Netlink, "batch", counted)
    return found


def names(netns: Netns) -> set[str]:
    return {link["ifname"] for link in netns.json("link")}


def test_the_second_apply_writes_nothing(host: Netns, writes: list[str]) -> None:
    first = run.apply(topology(EVERYTHING))
    assert first.applied
    assert first.plan.summary["create"] == 9
    assert writes
    writes.clear()
    second = run.apply(topology(EVERYTHING))
    assert not second.applied
    assert not second.plan.changed
    assert writes == []


def test_destroy_leaves_nothing_and_nobody_elses(host: Netns) -> None:
    host.ip("link", "add", "mine", "link", "eth0", "type", "macvlan", "mode", "bridge")
    host.ip("link", "set", "mine", "alias", "precious")
    run.apply(topology(EVERYTHING))
    run.destroy("edge")
    assert names(host) == {"lo", "eth0", "wire", "mine"}
    with pytest.raises(MissingError, match="there is no topology edge here"):
        run.destroy("edge")
    assert not run.destroy("edge", missing_ok=True).applied


def test_destroy_names_the_nearest(host: Netns) -> None:
    run.apply(topology(ETH0 + WEB0, "front"))
    with pytest.raises(MissingError, match=r"no topology fromt here \(did you mean front\?\)"):
        run.destroy("fromt")


def test_a_foreign_device_is_adopted_on_demand_only(host: Netns) -> None:
    host.ip("link", "add", "web0", "link", "eth0", "type", "macvlan", "mode", "private")
    before = host.json("link", "show", "web0")
    with pytest.raises(ConflictError, match=r"t\.yaml:5:3: web0 exists and is not ours"):
        run.apply(topology(ETH0 + WEB0))
    assert host.json("link", "show", "web0") == before
    run.apply(topology(ETH0 + WEB0), take_over=True)
    (after,) = host.json("link", "show", "web0")
    assert after["ifindex"] == before[0]["ifindex"]
    assert (after["ifalias"], after["address"]) == ("xdpctl:edge", "02:00:00:00:00:10")
    assert after["linkinfo"]["info_data"]["mode"] == "bridge"


def test_another_topologys_device(host: Netns) -> None:
    run.apply(topology(ETH0 + WEB0))
    with pytest.raises(ConflictError, match="web0 belongs to topology edge"):
        run.apply(topology(ETH0 + WEB0, "other"))


def test_replaced_with_its_addresses(host: Netns) -> None:
    host.ip("link", "add", "nic1", "type", "veth", "peer", "name", "wire1")
    up = WEB0.replace("}", ", state: up}")
    nics = ETH0 + "  nic1: {kind: physical}\n"
    run.apply(topology(nics + up))
    host.ip("address", "add", "192.0.2.1/24", "dev", "web0")
    (old,) = host.json("link", "show", "web0")
    plan = run.apply(topology(nics + up.replace("parent: eth0", "parent: nic1"))).plan
    assert [(one.op, one.reason) for one in plan.actions] == [("replace", "parent")]
    (new,) = host.json("address", "show", "web0")
    assert new["ifindex"] != old["ifindex"]
    assert new["link"] == "nic1"
    assert [one["local"] for one in new["addr_info"] if one["family"] == "inet"] == ["192.0.2.1"]


def test_mtus_up_and_down(host: Netns) -> None:
    def mtus(below: int, above: int) -> str:
        return f"  eth0: {{kind: physical, mtu: {below}}}\n" + WEB0.replace(
            "}", f", mtu: {above}}}"
        )

    for below, above in ((1500, 1500), (9000, 9000), (1400, 1300), (1500, 1300)):
        run.apply(topology(mtus(below, above)))
        found = {one["ifname"]: one["mtu"] for one in host.json("link")}
        assert (found["eth0"], found["web0"]) == (below, above)


def test_a_saved_plan_is_applied_once_and_only_to_the_same_host(host: Netns) -> None:
    wanted = topology(ETH0 + WEB0)
    made, observation = run.plan(wanted)
    plan = saved.load(saved.dump(made, wanted, observation.host))
    host.ip("link", "set", "wire", "mtu", "1400")  # nobody's business
    run.apply(load_texts(plan.sources), saved=plan)
    with pytest.raises(StalePlanError, match="web0 appeared"):
        run.apply(load_texts(plan.sources), saved=plan)
    made, observation = run.plan(topology(ETH0 + WEB0.replace("bridge", "private")))
    plan = saved.load(saved.dump(made, wanted, observation.host))
    host.ip("link", "set", "web0", "address", "02:00:00:00:00:99")
    with pytest.raises(StalePlanError, match="web0: address was 02:00:00:00:00:10, is 02:"):
        run.apply(load_texts(plan.sources), saved=plan)


def test_the_kernels_own_sentence(host: Netns) -> None:
    with pytest.raises(ApplyError) as caught:
        run.apply(topology("  eth0: {kind: physical, mtu: 70000}\n" + WEB0))
    assert str(caught.value) == (
        "set mtu 70000 of eth0: mtu greater than device maximum; everything done before was undone"
    )
    assert names(host) == {"lo", "eth0", "wire"}


def test_what_does_not_stay_as_set_is_named(host: Netns) -> None:
    def meddle(_done: int, _total: int, batch: Sequence[Operation]) -> None:
        if batch[0].summary().startswith("set alias"):
            host.ip("link", "set", "web0", "mtu", "1300")

    wanted = topology(ETH0 + WEB0.replace("}", ", mtu: 1500, state: up}"))
    with pytest.raises(ApplyError, match="web0: mtu is 1300, not 1500; everything done"):
        run.apply(wanted, progress=meddle)
    assert "web0" not in names(host)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle(host: Netns, number: signal.Signals) -> None:
    def strike(done: int, _total: int, _batch: Sequence[Operation]) -> None:
        if done == 1:
            os.kill(os.getpid(), number)

    handler = signal.getsignal(number)
    with pytest.raises(ApplyError, match=f"stopped by {number.name}; everything done before was"):
        run.apply(topology(ETH0 + WEB0.replace("}", ", state: up}")), progress=strike)
    assert "web0" not in names(host)
    assert signal.getsignal(number) is handler


def test_an_address_that_is_taken_in_another_namespace_is_hinted_at(
    host: Netns, netnses: Callable[[], Netns]
) -> None:
    other = netnses()
    run.apply(topology(ETH0 + WEB0))
    host.ip("link", "set", "web0", "netns", other.name)
    other.ip("link", "set", "web0", "up")
    with pytest.raises(ApplyError, match="web0: Address already in use") as caught:
        run.apply(topology(ETH0 + WEB0.replace("}", ", state: up}")))
    assert caught.value.hint == links.TAKEN
    assert "web0" not in names(host)


@contextmanager
def busy(netns: Netns) -> Iterator[None]:
    """Another process holds the lock."""
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        with lock.held(netns.name):
            os.write(ready[1], b".")
            os.read(done[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    try:
        yield
    finally:
        os.write(done[1], b".")
        os.waitpid(child, 0)
        for end in (*ready, *done):
            os.close(end)


def test_the_lock_says_who_holds_it(host: Netns) -> None:
    with busy(host), pytest.raises(LockedError) as caught:
        run.apply(topology(ETH0 + WEB0))
    assert not (lock.DIRECTORY / f"{host.name}.lock").exists(), "the lock was let go of"
    assert str(caught.value).startswith(f"another run holds the lock of {host.name}: process ")
    assert f" ({shlex.join(sys.argv)}) " in str(caught.value)
    assert "web0" not in names(host)
    run.apply(topology(ETH0 + WEB0))


def test_a_dead_holder_is_in_nobodys_way(host: Netns) -> None:
    path = Path(lock.DIRECTORY / f"{host.name}.lock")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"pid": 1, "command": "xdpctl", "since": "2020"}))
    assert run.apply(topology(ETH0 + WEB0)).applied
    assert not path.exists()


def test_other_namespaces_have_locks_of_their_own(
    host: Netns, netnses: Callable[[], Netns]
) -> None:
    with busy(netnses()):
        assert run.apply(topology(ETH0 + WEB0)).applied


def test_a_root_found_by_its_address(host: Netns) -> None:
    (nic,) = host.json("link", "show", "eth0")
    uplink = f'  uplink: {{kind: physical, match: {{mac: "{nic["address"]}"}}}}\n'
    wanted = topology(uplink + WEB0.replace("eth0", "uplink"))
    run.apply(wanted)
    assert host.json("link", "show", "web0")[0]["link"] == "eth0"
    assert not run.plan(wanted)[0].changed
    with pytest.raises(MissingError, match="uplink: there is no device with mac"):
        run.plan(topology('  uplink: {kind: physical, match: {mac: "02:00:00:00:99:99"}}\n'))


def test_many_devices_are_deleted_in_one_stroke(host: Netns, writes: list[str]) -> None:
    many = '  "t[1-300]": {kind: macvlan, parent: eth0, address: {base: "02:00:00:01:00:00"}}\n'
    run.apply(topology(ETH0 + many))
    host.ip("link", "add", "mine", "link", "eth0", "type", "macvlan")
    writes.clear()
    run.destroy("edge")
    assert sum(one.startswith("delete ") and "devices" in one for one in writes) == 1
    assert names(host) == {"lo", "eth0", "wire", "mine"}


def test_another_thread_may_run_it(host: Netns) -> None:
    """Signals are the main thread's; a run elsewhere goes without."""
    outcome: list[object] = []

    def other() -> None:
        with host.entered():
            outcome.append(run.apply(topology(ETH0 + WEB0)).applied)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert outcome == [True]
