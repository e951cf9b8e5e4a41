"""Plans in files, and the JSON of a plan."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.unit.plan.build import device, steps, topology
from tests.unit.plan.kernel import Kernel
from xdpctl.errors import StalePlanError, UsageError
from xdpctl.plan import saved
from xdpctl.plan.build import Plan
from xdpctl.plan.document import document
from xdpctl.topology.model import Topology

ETH0 = device("eth0", "physical")
WEB0 = device("web0", "macvlan", parent="eth0", mode="bridge", macaddr=(), mtu=1500)
WANTED = replace(topology(ETH0, WEB0), sources={"t.yaml": "version: 1\n"})


@pytest.fixture
def kernel() -> Kernel:
    kernel = Kernel()
    kernel.nic("eth0")
    return kernel


def planned(wanted: Topology, kernel: Kernel) -> Plan:
    return Plan(wanted.name, steps(wanted, kernel.host()), ("a note",))


def written(wanted: Topology, kernel: Kernel) -> saved.Saved:
    return saved.load(saved.dump(planned(wanted, kernel), wanted, kernel.host(), take_over=True))


def check(plan: saved.Saved, wanted: Topology, kernel: Kernel) -> None:
    saved.check(plan, planned(wanted, kernel), wanted, kernel.host())


def test_the_contract(kernel: Kernel) -> None:
    found = document(planned(WANTED, kernel))
    assert json.loads(json.dumps(found)) == {
        "format": 1,
        "topology": "edge",
        "changed": True,
        "summary": {"create": 1, "update": 0, "replace": 0, "delete": 0, "attach": 0, "detach": 0},
        "actions": [
            {
                "op": "create",
                "device": "web0",
                "changes": {
                    "kind": {"from": None, "to": "macvlan"},
                    "parent": {"from": None, "to": "eth0"},
                    "mode": {"from": None, "to": "bridge"},
                    "macaddr": {"from": None, "to": []},
                    "mtu": {"from": None, "to": 1500},
                },
                "reason": "",
            }
        ],
        "notes": ["a note"],
    }


def test_an_empty_plan_counts_everything_as_none() -> None:
    plan = Plan("edge")
    assert not plan.changed
    assert set(plan.summary.values()) == {0}


def test_read_back(kernel: Kernel) -> None:
    plan = written(WANTED, kernel)
    assert plan.sources == {"t.yaml": "version: 1\n"}
    assert plan.take_over
    assert plan.document["actions"][0]["device"] == "web0"
    check(plan, WANTED, kernel)


def test_somebody_elses_changes_do_not_matter(kernel: Kernel) -> None:
    plan = written(WANTED, kernel)
    kernel.nic("eth7")
    kernel.change(kernel.links["eth0"], "mtu", 9000)  # the file says nothing of it
    check(plan, WANTED, kernel)


def test_stale_by_a_device(kernel: Kernel) -> None:
    plan = written(WANTED, kernel)
    kernel.add("web0", "macvlan", {"mtu": 1500}, alias="xdpctl:edge")
    with pytest.raises(StalePlanError, match="the plan was saved: web0 appeared"):
        check(plan, WANTED, kernel)


def test_stale_by_a_device_that_was_to_be_deleted(kernel: Kernel) -> None:
    kernel.add("old", "macvlan", {"mtu": 1500}, alias="xdpctl:edge")
    plan = written(WANTED, kernel)
    del kernel.links["old"]
    with pytest.raises(StalePlanError, match="old is gone"):
        check(plan, WANTED, kernel)


def test_stale_by_a_value_that_the_plan_would_have_changed_anyway(kernel: Kernel) -> None:
    wanted = topology(device("eth0", "physical", mtu=9000))
    plan = written(wanted, kernel)
    kernel.change(kernel.links["eth0"], "mtu", 1400)
    with pytest.raises(StalePlanError, match="eth0: mtu was 1500, is 1400"):
        check(plan, wanted, kernel)


def test_stale_by_the_plan_itself(kernel: Kernel) -> None:
    plan = written(WANTED, kernel)
    other = topology(ETH0, device("web0", "macvlan", parent="eth0", mode="private"))
    with pytest.raises(StalePlanError, match="to do for web0 is no longer the same"):
        check(plan, other, kernel)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "xdpctl-plan"}', "version: 1"])
def test_what_is_no_plan(text: str) -> None:
    with pytest.raises(UsageError, match="not a plan"):
        saved.load(text)


def test_recognised(kernel: Kernel) -> None:
    text = saved.dump(planned(WANTED, kernel), WANTED, kernel.host())
    assert saved.recognise(text)
    assert not saved.recognise("version: 1\nname: edge\n")
    assert not saved.recognise('{"version": 1, "name": "edge"}')


def test_of_another_format(kernel: Kernel) -> None:
    text = saved.dump(planned(WANTED, kernel), WANTED, kernel.host())
    with pytest.raises(UsageError, match="the plan has format 2, not 1"):
        saved.load(text.replace('"format": 1', '"format": 2', 1))
