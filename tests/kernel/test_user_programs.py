"""Users' own programs among the stages: called, counted, handed on from, edited, refused."""

from __future__ import annotations

import os
import socket
import struct
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kernel.inside import pipeline, programs
from tests.kernel.rig import BROADCAST, DB, WEB, Rig, command, rules, verdicts
from tests.kernel.rig import pins as pins_of
from tests.kernel.test_actions import caught, counted, frame, frames_of, more, opened_tap, passing
from tests.kernel.test_objects import HEAD, build
from xdpctl.bpf import maps, pins
from xdpctl.errors import ApplyError, TopologyError
from xdpctl.topology.load import load_texts
from xdpctl.trace import check

pytestmark = pytest.mark.kernel

TEXT = f"""\
version: 1
name: edge
devices:
  eth0: {{kind: physical}}
  web0: {{kind: macvlan, parent: eth0, mode: bridge, address: "{WEB}", state: up,
         xdp: {{policy: mine}}}}
  db0: {{kind: macvlan, parent: eth0, mode: bridge, address: "{DB}", state: up,
        xdp: {{policy: db}}}}
policies:
  mine: {{object: mine.o}}
  db: {{default: pass, rules: [{{name: not, match: {{udp.dport: 9000}}, action: drop}}]}}
"""
LOOK = """
__u64 seen;
static __always_inline int port(void *data, void *end) {
    unsigned char *byte = data;
    return data + 38 > end ? -1 : byte[36] << 8 | byte[37];
}
"""
ONLY_9000 = (
    LOOK
    + """
static __always_inline int decide(struct xdpctl_frame *frame) {
    __sync_fetch_and_add(&seen, 1);
    return port(frame->data, frame->data_end) == 9000 ? XDPCTL_PASS : XDPCTL_DROP;
}
XDPCTL_POLICY(xdp_main, decide)
"""
)
XDP_ONLY = (
    LOOK
    + """
SEC("xdp.frags") int xdp_main(struct xdp_md *context) {
    void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
    __sync_fetch_and_add(&seen, 1);
    switch (port(data, end)) {
    case 9000: return XDP_PASS;
    case 9001: return XDP_TX;
    case 9002: return bpf_redirect(TARGET, 0);
    case 9003: return XDP_ABORTED;
    case 9004: return 77;
    }
    return XDP_DROP;
}
"""
)
RENAMES_TO = """
SEC("xdp.frags") int xdp_main(struct xdp_md *context) {
    unsigned char *data = (void *)(long)context->data;
    if (data + 14 > (unsigned char *)(long)context->data_end) return XDP_DROP;
    if (data[5] == 0x10) data[5] = 0x11;
    return XDP_PASS;
}
"""

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Compiles a source as mine.o and gives the topology with the object's whole path."""

    def written(source: str, text: str = TEXT, name: str = "mine") -> str:
        file = tmp_path / f"{name}.bpf.c"
        file.write_text(HEAD + source)
        build(file, tmp_path / f"{name}.o")
        return text.replace(f"{name}.o", str(tmp_path / f"{name}.o"))

    return written


@pytest.fixture
def pin() -> Iterator[Path]:
    path = pins.BPFFS / f"xt-user-{os.getpid()}"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def listening(rig: Rig, text: str) -> Rig:
    rig.apply(text)
    for device in ("web0", "db0"):
        rig.listen(device)
    return rig


def seen(rig: Rig, name: str = "mine", variable: str = ".bss") -> int:
    """The first number of a map of the policy's object."""
    _, ids = pipeline(rig).description.objects[name]
    with maps.open_id(ids[variable]) as opened:
        return int(struct.unpack_from("=Q", opened.lookup(bytes(4)) or b"")[0])


# --- as a device's stage


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_frames_from_everywhere_meet_it_once(rig: Rig, write: Write, mode: str) -> None:
    """From the wire in the pipeline; clones and a sibling's frames at the device, by its tc one."""
    text = write(ONLY_9000)
    listening(rig, text.replace("{kind: physical}", f"{{kind: physical, xdp: {{mode: {mode}}}}}"))
    before, looked = counted(rig), seen(rig)
    for port in (9000, 9001):
        for count, (by, to) in enumerate((("wire", WEB), ("wire", BROADCAST), ("db0", WEB)), 2):
            rig.send(to, port, by=by, for_="web0", count=count)
    found = rig.received()
    assert found["web0", 9000] == 2 + 3 + 4
    assert ("web0", 9001) not in found
    assert more(counted(rig), before) == {"pass": 9, "drop": 9}
    assert seen(rig) - looked == 18
    assert found["db0", 9001] == 3, "the sibling's own policy is what it was"
    assert ("db0", 9000) not in found


@pytest.mark.parametrize("default", ["pass", "drop"])
def test_the_default_decides_where_it_has_no_tc_program(
    rig: Rig, write: Write, default: str
) -> None:
    text = write(XDP_ONLY.replace("TARGET", "1"))
    listening(rig, text.replace("mine: {", f"mine: {{default: {default}, "))
    before = rules(rig.show()["web0"])["default"], seen(rig)
    rig.send(BROADCAST, 9001, count=3)
    rig.send(WEB, 9001, by="db0", for_="web0", count=4)
    expected = {("web0", 9001): 7} if default == "pass" else {}
    assert {key: n for key, n in rig.received().items() if key[0] == "web0"} == expected
    assert rules(rig.show()["web0"])["default"] - before[0] == 7
    assert seen(rig) == before[1]


def test_a_default_is_drop_if_nobody_says_otherwise(rig: Rig, write: Write) -> None:
    listening(rig, write(XDP_ONLY.replace("TARGET", "1")))
    rig.send(BROADCAST, 9000)
    assert ("web0", 9000) not in rig.received()


def test_each_verdict_does_what_it_says_and_is_counted(rig: Rig, write: Write) -> None:
    rig.nic.ip("tuntap", "add", "tap9", "mode", "tap")
    rig.nic.ip("link", "set", "tap9", "up")
    with rig.nic.entered():
        index = socket.if_nametoindex("tap9")
    listening(rig, write(XDP_ONLY.replace("TARGET", str(index))))
    before = counted(rig), rules(rig.show()["web0"])
    with (
        opened_tap(rig.nic, "tap9") as reader,
        passing(rig.wire, "wire"),
        caught(rig.wire, "wire") as back,
    ):
        frames_of(reader)
        for port in range(9000, 9006):
            rig.senders["wire"].send(frame(WEB, port))
        assert rig.received() == {("web0", 9000): 1}
        assert frames_of(reader) == [frame(WEB, 9002)]
    assert back == [frame(WEB, 9001)]
    assert more(counted(rig), before[0]) == {"pass": 1, "drop": 3, "tx": 1, "redirect": 1}
    assert more(rules(rig.show()["web0"]), before[1]) == {
        "pass": 1, "drop": 1, "tx": 1, "redirect": 1, "aborted": 2,
    }  # fmt: skip


def test_a_frame_given_another_address_meets_that_devices_policy(rig: Rig, write: Write) -> None:
    """It has passed web0's policy, and arrives at db0: the mark is another's, so db0 polices it."""
    listening(rig, write(RENAMES_TO))
    rig.send(WEB, 9000, for_="db0", count=3)
    rig.send(WEB, 9001, for_="db0", count=4)
    assert rig.received() == {("db0", 9001): 4}


def test_a_frame_that_it_shortens_goes_on(rig: Rig, write: Write) -> None:
    """Bytes before the frame are cut off (as of an outer header); the mark goes along."""
    listening(
        rig,
        write("""
        SEC("xdp.frags") int xdp_main(struct xdp_md *context) {
            unsigned char *data = (void *)(long)context->data;
            if (data + 24 > (unsigned char *)(long)context->data_end) return XDP_DROP;
            if (data[12] != 0x88 || data[13] != 0xb5) return XDP_PASS;
            return bpf_xdp_adjust_head(context, 24) ? XDP_ABORTED : XDP_PASS;
        }
        """),
    )
    inner = frame(WEB, 9000)
    outer = inner[:12] + b"\x88\xb5" + bytes(10) + inner
    before = counted(rig)
    for _ in range(3):
        rig.senders["wire"].send(outer)
    assert rig.received() == {("web0", 9000): 3}
    assert more(counted(rig), before) == {"pass": 3}


# --- as the root's stage


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_what_the_roots_program_passes_meets_the_devices_policies(
    rig: Rig, write: Write, mode: str
) -> None:
    text = (
        write(ONLY_9000)
        .replace("{kind: physical}", f"{{kind: physical, xdp: {{policy: mine, mode: {mode}}}}}")
        .replace("{policy: mine}}", "{policy: web}}")
        .replace(
            "policies:", "policies:\n  web: {rules: [{match: {udp.dport: 9001}, action: drop}]}"
        )
    )
    listening(rig, text)
    before = counted(rig, "eth0"), counted(rig, "db0")
    for to, device in ((WEB, "web0"), (DB, "db0")):
        for port in (9000, 9001):
            rig.send(to, port, for_=device, count=3)
    assert rig.received() == {("web0", 9000): 3}
    assert more(counted(rig, "eth0"), before[0]) == {"pass": 6, "drop": 6}
    assert more(counted(rig, "db0"), before[1]) == {"drop": 3}


def test_what_the_root_rewrites_is_demultiplexed_by_its_new_address(rig: Rig, write: Write) -> None:
    text = write(RENAMES_TO).replace("{kind: physical}", "{kind: physical, xdp: {policy: mine}}")
    text = text.replace("xdp: {policy: mine}}\n  db0", "xdp: {policy: web}}\n  db0").replace(
        "policies:", "policies:\n  web: {default: drop}"
    )
    listening(rig, text)
    before = counted(rig, "db0"), counted(rig, "web0")
    for port in (9000, 9001):
        rig.send(WEB, port, for_="db0", count=3)
    assert rig.received() == {("db0", 9001): 3}
    assert more(counted(rig, "db0"), before[0]) == {"pass": 3, "drop": 3}
    assert counted(rig, "web0") == before[1]
    assert rig.show()["db0"]["xdp"]["mode"] == "dispatched"


def test_the_same_program_on_the_root_and_on_a_device(rig: Rig, write: Write) -> None:
    text = write(ONLY_9000).replace("{kind: physical}", "{kind: physical, xdp: {policy: mine}}")
    listening(rig, text)
    before = seen(rig)
    rig.send(WEB, 9000, for_="web0", count=3)
    rig.send(WEB, 9001, for_="web0", count=2)
    assert rig.received() == {("web0", 9000): 3}
    assert seen(rig) - before == 3 * 2 + 2


# --- several, and edits


def test_several_objects_beside_rules(rig: Rig, write: Write) -> None:
    text = write(ONLY_9000)
    text = write(
        ONLY_9000.replace("9000", "9001"), text.replace("mine: {object",
        "their: {object: their.o}\n  mine: {object"), "their",
    )  # fmt: skip
    text = text.replace(
        "policies:",
        '  far0: {kind: macvlan, parent: eth0, mode: bridge, address: "02:00:00:00:00:12", '
        "state: up, xdp: {policy: their}}\npolicies:",
    )
    listening(rig, text)
    rig.listen("far0")
    for to, device in ((WEB, "web0"), (DB, "db0"), ("02:00:00:00:00:12", "far0")):
        for port in (9000, 9001):
            rig.send(to, port, for_=device, count=3)
    assert rig.received() == {("web0", 9000): 3, ("db0", 9001): 3, ("far0", 9001): 3}
    assert seen(rig) >= 6 <= seen(rig, "their")
    assert not rig.plan(text).changed


def test_its_maps_go_on_while_others_are_edited_and_end_with_it(rig: Rig, write: Write) -> None:
    text = write(ONLY_9000)
    listening(rig, text)
    rig.send(WEB, 9000, for_="web0", count=3)
    assert rig.received() == {("web0", 9000): 3}
    before, loaded = seen(rig), programs(rig)
    assert before >= 3
    edited = text.replace("udp.dport: 9000", "udp.dport: 9001")
    rig.apply(edited)
    assert programs(rig) != loaded
    assert seen(rig) >= before
    rebuilt = edited.replace(
        "rules: [{name: not",
        "rules: ["
        + "".join(f"{{match: {{udp.dport: {n + 1}}}, action: pass}}, " for n in range(40))
        + "{name: not",
    )
    rig.apply(rebuilt)
    assert seen(rig) >= before
    write(ONLY_9000.replace("== 9000", "== 9001"))
    assert list(rig.plan(rebuilt).actions[0].changes) == ["policy mine"]
    rig.apply(rebuilt)
    assert seen(rig) < before
    rig.send(WEB, 9000, for_="web0", count=3)
    rig.send(WEB, 9001, for_="web0", count=4)
    assert rig.received() == {("web0", 9001): 4}


def test_a_pinned_map_is_kept_over_destroy_and_apply(rig: Rig, write: Write, pin: Path) -> None:
    source = """
        MAP(counts, BPF_MAP_TYPE_ARRAY, __u32, __u64, 1);
        static __always_inline int decide(struct xdpctl_frame *frame) {
            __u32 key = 0; __u64 *value = bpf_map_lookup_elem(&counts, &key);
            if (value) __sync_fetch_and_add(value, 1);
            return XDPCTL_PASS;
        }
        XDPCTL_POLICY(xdp_main, decide)
    """
    text = write(source, TEXT.replace("mine.o}", f"mine.o, maps: {{counts: {pin}}}}}"))
    listening(rig, text)
    rig.send(WEB, 9000, for_="web0", count=3)
    rig.received()
    before = seen(rig, variable="counts")
    assert before >= 3
    rig.deafen()
    rig.destroy()
    assert pin.exists()
    rig.apply(text)
    assert seen(rig, variable="counts") >= before
    write(source.replace("XDPCTL_PASS;", "XDPCTL_DROP;"))
    rig.apply(text)
    assert seen(rig, variable="counts") >= before, "another program goes on with it"
    with maps.Map(pins.open_pin(pin)) as opened:
        assert opened.info.id == pipeline(rig).description.objects["mine"][1]["counts"]


# --- what is refused


GOOD = 'SEC("xdp.frags") int one(struct xdp_md *context) { return XDP_PASS; }\n'
TWO = GOOD + GOOD.replace("one", "two")
WRONG = [
    ("", "{object: mine.o, rules: []}", "rules beside an object"),
    ("", "{program: one}", "program is for a policy with an object"),
    ("", "{tc: one}", "tc is for a policy with an object"),
    ("", "{maps: {one: /sys/fs/bpf/x}}", "maps is for a policy with an object"),
    ("", "{object: missing.o}", "object missing.o"),
    (TWO, "{object: mine.o}", "program is missing: … has one, two"),
    ("", "{object: mine.o}", 'program is missing: … has none in SEC("xdp.frags")'),
    (TWO, "{object: mine.o, program: ones}", "has no program ones … did you mean one"),
    (GOOD.replace("xdp.frags", "xdp"), "{object: mine.o, program: one}", 'write SEC("xdp.frags")'),
    (GOOD.replace("xdp.frags", "kprobe/x"), "{object: mine.o, program: one}", "a stage is an XDP"),
    (GOOD + GOOD.replace("one", "two"), "{object: mine.o, program: one, tc: two}",
     'a program of the backstop stands in SEC("tc")'),
    (GOOD, "{object: mine.o, maps: {counts: /sys/fs/bpf/x}}", "has no map 'counts'"),
    ("MAP(counts, BPF_MAP_TYPE_ARRAY, __u32, __u64, 1);" + GOOD.replace(
        "return", "__u32 key = 0; return !bpf_map_lookup_elem(&counts, &key) +"),
     "{object: mine.o, maps: {counts: /tmp/x}}", "counts must be a path below /sys/fs/bpf/"),
    ("MAP(counts, BPF_MAP_TYPE_ARRAY, __u32, __u64, 1);" + GOOD.replace(
        "return", "__u32 key = 0; return !bpf_map_lookup_elem(&counts, &key) +"),
     "{object: mine.o, maps: {counts: /sys/fs/bpf/../x}}", "counts must be a path below"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "policy", "message"), WRONG)
def test_what_is_wrong_is_said_before_anything_is_done(
    write: Write, source: str, policy: str, message: str
) -> None:
    text = write(source, TEXT.replace("{object: mine.o}", policy))
    with pytest.raises(TopologyError) as told:
        load_texts({"topo.yaml": text})
    words = " ".join(str(each) for each in told.value.problems)
    for part in message.split(" … "):
        assert part in words, words
    assert "topo.yaml:" in words


def test_a_license_that_does_not_fit(write: Write, tmp_path: Path) -> None:
    file = tmp_path / "mine.bpf.c"
    file.write_text((HEAD + GOOD).replace("Dual BSD/GPL", "Proprietary"))
    build(file, tmp_path / "mine.o")
    with pytest.raises(TopologyError) as told:
        load_texts({"topo.yaml": TEXT.replace("mine.o", str(tmp_path / "mine.o"))})
    assert 'has the license "Proprietary"' in str(told.value.problems[0])


def test_what_is_no_object(tmp_path: Path) -> None:
    (tmp_path / "mine.o").write_bytes(b"\x7fELF" + bytes(100))
    with pytest.raises(TopologyError):
        load_texts({"topo.yaml": TEXT.replace("mine.o", str(tmp_path / "mine.o"))})


BAD = """
SEC("xdp.frags") int xdp_main(struct xdp_md *context) {
    unsigned char *data = (void *)(long)context->data;
    return data[40] == 7 ? XDP_PASS : XDP_DROP; /* looks without asking */
}
"""


@pytest.mark.parametrize("first", ["nothing", "something"])
def test_a_program_that_the_verifier_refuses_changes_nothing(
    rig: Rig, write: Write, first: str, tmp_path: Path
) -> None:
    if first == "something":
        listening(rig, write(ONLY_9000))
    before = rig.nic.json("link"), pins_of(rig.nic)
    loaded = programs(rig) if first == "something" else []
    text = write(BAD)
    with pytest.raises(ApplyError) as told:
        rig.apply(text)
    words = str(told.value)
    assert "looks without asking" in words or "data[40]" in words, words
    assert "mine.bpf.c" in words, words
    assert len(words.splitlines()) <= 12, words
    after = rig.nic.json("link"), pins_of(rig.nic)
    assert [link["ifname"] for link in after[0]] == [link["ifname"] for link in before[0]]
    assert after[1] == before[1]
    if first == "something":
        assert programs(rig) == loaded
        rig.send(WEB, 9000, for_="web0", count=3)
        rig.send(WEB, 9001, for_="web0", count=3)
        assert rig.received() == {("web0", 9000): 3}
    file = tmp_path / "edge.yaml"
    file.write_text(text)
    done = command(rig.nic, "apply", str(file), "--yes")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("where", ["device", "root"])
@pytest.mark.parametrize(("size", "fits"), [(280, True), (500, False)])
def test_much_stack(rig: Rig, write: Write, where: str, size: int, fits: bool) -> None:
    """512 bytes are shared by all functions on the way; what is left is the user's."""
    text = write(f"""
        SEC("xdp.frags") int xdp_main(struct xdp_md *context) {{
            char big[{size}];
            if (bpf_xdp_load_bytes(context, 0, big, 42)) return XDP_DROP;
            asm volatile("" :: "r"(big) : "memory");
            return big[37] == 0x28 ? XDP_PASS : XDP_DROP;
        }}
    """)
    if where == "root":
        text = (
            text.replace("{kind: physical}", "{kind: physical, xdp: {policy: mine}}")
            .replace("xdp: {policy: mine}}\n  db0", "xdp: {policy: db}}\n  db0")
            .replace("udp.dport: 9000", "udp.dport: 9009")
        )
    if fits:
        listening(rig, text)
        rig.send(WEB, 9000, for_="web0", count=3)
        rig.send(WEB, 9001, for_="web0", count=3)
        assert rig.received() == {("web0", 9000): 3}
    else:
        with pytest.raises(ApplyError, match="stack"):
            rig.apply(text)


# --- without a device


def test_a_test_runs_it(write: Write) -> None:
    cases = """\
        tests:
          - {name: a, packet: {to: web0, udp: {dport: 9000}}, expect: {verdict: pass, at: web0}}
          - {name: b, packet: {to: web0, udp: {dport: 9001}}, expect: {verdict: drop, rule: drop}}
          - {name: c, packet: {to: web0, ether: {daddr: broadcast}, ip4: {}, udp: {dport: 9000}},
             expect: {verdict: pass, at: web0}}
          - {name: d, packet: {to: web0, ether: {daddr: broadcast}, ip4: {}, udp: {dport: 9001}},
             expect: {verdict: drop, at: web0}}
          - {name: e, packet: {to: db0, udp: {dport: 9000}}, expect: {verdict: drop, at: db0}}
    """
    topology = load_texts({"topo.yaml": write(ONLY_9000) + textwrap.dedent(cases)})
    assert [(one.case.name, check.got(one.journey)) for one in check.run(topology)
            if not one.passed] == []  # fmt: skip


def test_a_test_leaves_its_live_maps_alone(rig: Rig, write: Write, pin: Path) -> None:
    text = write(ONLY_9000)
    listening(rig, text)
    before = seen(rig), verdicts(rig.show()["web0"])
    case = (
        "tests:\n  - {name: a, packet: {to: web0, udp: {dport: 9000}}, expect: {verdict: pass}}\n"
    )
    (result,) = check.run(load_texts({"topo.yaml": text + case}))
    assert result.passed
    assert (seen(rig), verdicts(rig.show()["web0"])) == before


def test_metadata_of_its_own_does_not_hide_ours(rig: Rig, write: Write) -> None:
    """What it passes has met the policy, whatever it puts before the frame."""
    source = (
        'SEC("xdp.frags") int xdp_main(struct xdp_md *context) {\n'
        "    bpf_xdp_adjust_meta(context, -4);\n    return XDP_PASS;\n}\n"
    )
    listening(rig, write(source))
    rig.send(WEB, 9000, count=6, for_="web0")
    assert rig.received() == {("web0", 9000): 6}
    assert verdicts(rig.show()["web0"]) == {"pass": 6}


def test_a_map_that_its_program_does_not_use_is_nobodys(rig: Rig, write: Write) -> None:
    """It ends with the run that loaded it, and is made anew by the next."""
    array = "struct {{ __uint(type, BPF_MAP_TYPE_ARRAY); __type(key, __u32); __type(value, __u32);"
    maps = "".join(f"{array} __uint(max_entries, 1); }} {name} SEC(\".maps\");\n".replace("{{", "{")
                   for name in ("used", "unused"))  # fmt: skip
    programs = "".join(
        f'SEC("xdp.frags") int {name}(struct xdp_md *context) {{\n    __u32 zero = 0;\n'
        f"    return bpf_map_lookup_elem(&{each}, &zero) ? XDP_PASS : XDP_DROP;\n}}\n"
        for name, each in (("xdp_main", "used"), ("other", "unused"))
    )
    text = write(maps + programs).replace("mine.o}", "mine.o, program: xdp_main}")
    listening(rig, text)
    rig.apply(text.replace("9000", "9001"))
    rig.send(WEB, 9000, count=2, for_="web0")
    assert rig.received() == {("web0", 9000): 2}
