"""Policies at the edges of what a program can be: nothing passes, many sets, rules that go."""

from __future__ import annotations

import pytest

from tests.kernel.rig import DB, WEB, Rig, rules, verdicts
from tests.policies.frames import DESTINATION, IP6, TCP, ethernet, ip6, option, tcp
from tests.policies.rig import loaded
from xdpctl.errors import ApplyError
from xdpctl.policy.evaluate import evaluate
from xdpctl.topology.load import load_texts

pytestmark = pytest.mark.kernel

HEAD = """\
version: 1
name: edge
devices:
  eth0: {kind: physical, xdp: {policy: root}}
  web0:
    {kind: macvlan, parent: eth0, mode: bridge, address: "02:00:00:00:00:10", state: up,
     xdp: {policy: web}}
policies:
  web: {default: pass, rules: [{name: web, match: {udp.dport: 9000}, action: count}]}
"""


@pytest.mark.parametrize(
    ("root", "wanted"),
    [
        ("{default: drop}", {"drop": 4}),
        ("{rules: [{action: drop}]}", {"drop": 4}),
        ("{rules: [{action: {userspace: all}}]}", {"redirect": 4}),
        ("{rules: [{action: tx}]}", {"tx": 4}),
    ],
)
def test_a_root_that_lets_nothing_through(rig: Rig, root: str, wanted: dict[str, int]) -> None:
    """Behind such a policy there is nothing to be reached, which the verifier would refuse."""
    rig.apply(f"{HEAD}  root: {root}\n")
    rig.listen("web0")
    rig.send(WEB, 9000, count=4, for_="web0")
    assert rig.received() == {}
    assert verdicts(rig.show()["eth0"]) == wanted
    rig.apply(HEAD + "  root: {}\n")
    rig.send(WEB, 9000, count=3, for_="web0")
    assert rig.received() == {("web0", 9000): 3}


def test_more_sets_than_a_program_may_have_maps(rig: Rig) -> None:
    """64 (MAX_USED_MAPS): the policies are parted among programs."""
    number = 70
    devices = "".join(
        f"  t{n}: {{kind: macvlan, parent: eth0, state: up, xdp: {{policy: p{n}}}}}\n"
        for n in range(number)
    )
    policies = "".join(
        f'  p{n}: {{default: drop, rules: [{{match: {{ip4.saddr: "@s{n}"}}, action: pass}}]}}\n'
        for n in range(number)
    )
    sets = "".join(f"  s{n}: {{type: ip4, entries: [10.0.0.{n}]}}\n" for n in range(number))
    text = (
        f"version: 1\nname: edge\ndevices:\n  eth0: {{kind: physical}}\n{devices}"
        f"policies:\n{policies}sets:\n{sets}"
    )
    rig.apply(text)
    assert not rig.plan(text).changed
    more = text.replace("entries: [10.0.0.69]", "entries: [10.0.0.99]")
    rig.apply(more)  # the address that the rig sends from
    rig.listen("t69")
    address = rig.nic.json("link", "show", "t69")[0]["address"]
    rig.send(address, 9000, count=5, for_="t69")
    assert rig.received() == {("t69", 9000): 5}


def test_one_policy_that_names_too_many_is_told(rig: Rig) -> None:
    names = "".join(f'      - {{match: {{ip4.saddr: "@s{n}"}}, action: pass}}\n' for n in range(49))
    sets = "".join(f"  s{n}: {{type: ip4, entries: []}}\n" for n in range(49))
    with pytest.raises(ApplyError, match=r"topo.yaml:10:3: policy root .* 49 sets"):
        rig.apply(f"{HEAD}  root:\n    rules:\n{names}sets:\n{sets}")
    assert "web0" not in rig.nic.ip("link")


def test_a_new_rule_counts_from_nothing(rig: Rig) -> None:
    """Also where a rule that only counted was taken away before."""
    text = HEAD.replace(", xdp: {policy: root}", "").replace(
        "rules: [", "rules: [{name: a, match: {udp.dport: 1}, action: pass}, "
    )
    rig.apply(text)
    rig.listen("web0")
    rig.send(WEB, 9000, count=5, for_="web0")
    without = text.replace(", {name: web, match: {udp.dport: 9000}, action: count}", "")
    rig.apply(without)
    rig.apply(
        without.replace("action: pass}]", "action: pass}, {name: bad, match: {}, action: drop}]")
    )
    assert rules(rig.show()["web0"])["bad"] == 0
    assert verdicts(rig.show()["web0"]) == {"pass": 5}


def test_a_root_found_by_its_address_may_be_named_by_policies(rig: Rig) -> None:
    text = """\
version: 1
name: edge
devices:
  uplink: {kind: physical, match: {mac: "02:00:00:00:00:01"}}
  db0:
    {kind: macvlan, parent: uplink, mode: bridge, address: "02:00:00:00:00:11", state: up,
     xdp: {policy: db}}
policies:
  db: {default: drop, rules: [{action: {policy: more}}]}
  more: {default: drop, rules: [{name: in, match: {meta.port: uplink}, action: pass}]}
"""
    rig.apply(text)
    assert not rig.plan(text).changed
    rig.listen("db0")
    rig.send(DB, 9000, count=3, for_="db0")
    assert rig.received() == {("db0", 9000): 3}


@pytest.mark.parametrize("default", ["pass", "drop"])
def test_what_is_malformed_for_another_policy_takes_its_default(default: str) -> None:
    """Not that of the policy that led there, which does not look that deep."""
    other = "drop" if default == "pass" else "pass"
    text = (
        f"version: 1\nname: t\ndevices: {{}}\npolicies:\n"
        f"  p: {{default: {default}, rules: [{{action: {{policy: strict}}}}]}}\n"
        f"  strict: {{default: {other}, rules: [{{match: {{tcp.dport: 443}}, action: pass}}]}}\n"
    )
    policy = load_texts({"t": text}).policies["p"]
    frame = ethernet(IP6, ip6(TCP, tcp(), extensions=[option(DESTINATION)] * 9))
    with loaded(policy) as one:
        assert evaluate(policy, frame).verdict == other
        assert one.check(frame) >= 4
