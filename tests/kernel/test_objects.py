"""Users' own ELF objects: compiled by clang, loaded by libbpf, embedded into a program of ours.

The caller here returns what the user's program returned plus 40, so that what is seen has come
back through it.
"""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kernel.conftest import Netns
from xdpctl.bpf import btf, complaint, elf, maps, pins
from xdpctl.bpf import program as programs
from xdpctl.bpf.asm import DW, R0, R1, R6, R10, Assembler
from xdpctl.bpf.elf import LoadedObject
from xdpctl.bpf.embedded import Embedded
from xdpctl.bpf.program import Flavour, Program
from xdpctl.errors import ConflictError, KernelError, XdpctlError
from xdpctl.topology.elf import BpfObject, read

pytestmark = pytest.mark.kernel

HEAD = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <xdpctl.h>
char LICENSE[] SEC("license") = "Dual BSD/GPL";
#define NOT_INLINED static __attribute__((noinline))
#define MAP(NAME, TYPE, KEY, VALUE, ENTRIES) struct { __uint(type, TYPE); \
    __uint(max_entries, ENTRIES); __type(key, KEY); __type(value, VALUE); } NAME SEC(".maps")
#define XDP SEC("xdp.frags") int
"""
INCLUDE = Path(elf.__file__).parents[1] / "include"
EXAMPLE = Path(__file__).parents[2] / "examples/object"
BACK = 40
XDP_DROP, XDP_PASS, XDP_TX = 1, 2, 3
FRAME = bytes(range(64))

Compile = Callable[[str], BpfObject]


@pytest.fixture
def compile_c(tmp_path: Path) -> Compile:
    def compiled(source: str) -> BpfObject:
        file = tmp_path / "mine.bpf.c"
        file.write_text(HEAD + source)
        return build(file, tmp_path / "mine.bpf.o")

    return compiled


def build(source: Path, target: Path) -> BpfObject:
    if shutil.which("clang") is None:
        pytest.skip("needs clang")
    subprocess.run(
        ["clang", "-O2", "-g", "-Wall", "-Werror", "-target", "bpf", f"-I{INCLUDE}",
         f"-I/usr/include/{os.uname().machine}-linux-gnu", "-c", source, "-o", target],
        check=True,
    )  # fmt: skip
    return read(str(target))


def embed(
    found: Embedded, flavour: Flavour = Flavour.XDP, *, stack: int = 8, before: int = 0
) -> Program:
    """A program of ours with so much stack and so many instructions that calls the user's."""
    asm = Assembler()
    asm.mov(R6, R1)
    asm.mov(R0, 0)
    asm.store(DW, R10, -stack, R0)
    for _ in range(before):
        asm.mov(R0, R0)
    asm.call_function("user")
    asm.add(R0, BACK)
    asm.exit()
    asm.embed("user", found.code, found.functions, found.lines)
    debug = btf.describe("caller", asm.lines, found.sources, asm.functions)
    return programs.load(asm.assemble(), flavour, "caller", debug)


@contextmanager
def loaded(
    found: BpfObject,
    *,
    wanted: Mapping[str, Flavour] | None = None,
    pinned: Mapping[str, Path] = elf.NO_PINS,
    kept: Mapping[str, int] = elf.NO_MAPS,
    private: bool = False,
) -> Iterator[LoadedObject]:
    wanted = wanted or {"xdp_main": Flavour.XDP}
    with elf.load(found, "mine.bpf.o", wanted, pins=pinned, kept=kept, private=private) as opened:
        yield opened


def came_back(found: BpfObject, frame: bytes = FRAME, *, stack: int = 8, before: int = 0) -> int:
    """What the user's program `xdp_main` returned to its caller."""
    with loaded(found) as opened:
        made = embed(opened.programs["xdp_main"], stack=stack, before=before)
        with made:
            return made.run(frame).code - BACK


def number(opened: LoadedObject, name: str, key: int = 0) -> int:
    """The first 8 bytes of a map's value."""
    with maps.open_id(opened.maps[name].id) as found:
        value = found.lookup(struct.pack("=I", key))
    assert value is not None
    return int(struct.unpack_from("=Q", value)[0])


@pytest.fixture
def pin() -> Iterator[Path]:
    pins.require_bpffs()
    path = pins.BPFFS / f"xt-{os.getpid()}"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


# --- what comes back


@pytest.mark.parametrize("code", ["XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX", "XDP_REDIRECT"])
def test_the_return_code_comes_back(compile_c: Compile, code: str) -> None:
    order = ["XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX", "XDP_REDIRECT"]
    found = compile_c(f"XDP xdp_main(struct xdp_md *context) {{ return {code}; }}")
    assert came_back(found) == order.index(code)


def test_xdpctl_next_is_pass(compile_c: Compile) -> None:
    source = "XDP xdp_main(struct xdp_md *context) { return xdpctl_next(context); }"
    assert came_back(compile_c(source)) == XDP_PASS


EVERYTHING = """
MAP(counts, BPF_MAP_TYPE_HASH, __u32, __u64, 16);
const volatile __u32 rounds = 7;
__u64 seen;
__u64 started = 5;
struct sum { __u64 total; };
static long add(__u32 index, void *to) { ((struct sum *)to)->total += index; return 0; }
NOT_INLINED int first(struct xdp_md *context) {
    void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
    return data + 14 > end ? -1 : *(unsigned char *)data;
}
XDP xdp_main(struct xdp_md *context) {
    struct sum sum = {}; __u32 key = 3; __u64 *value;
    seen++; started++;
    bpf_loop(rounds, add, &sum, 0);
    value = bpf_map_lookup_elem(&counts, &key);
    if (value) *value += sum.total; else bpf_map_update_elem(&counts, &key, &sum.total, 0);
    return first(context) == 9 ? XDP_TX : XDP_PASS;
}
"""


@pytest.mark.parametrize("before", [0, 1, 5000])
def test_it_works_wherever_it_stands(compile_c: Compile, before: int) -> None:
    """Globals, a map, a callback and a function that is not inlined; the code is not changed."""
    with loaded(compile_c(EVERYTHING)) as opened:
        found = opened.programs["xdp_main"]
        assert [name for _, name in found.functions] == ["xdp_main", "add", "first"]
        with embed(found, before=before) as made:
            assert made.run(FRAME).code == XDP_PASS + BACK
            assert made.run(b"\x09" + FRAME).code == XDP_TX + BACK
            assert number(opened, ".bss") == 2
            assert number(opened, ".data") == 7
            assert number(opened, "counts", 3) == 2 * sum(range(7))
            ids = {each.id for each in opened.maps.values()}
            assert set(made.info.map_ids) == ids


def test_two_programs_stand_in_one(compile_c: Compile) -> None:
    found = compile_c("""
        __u64 seen;
        NOT_INLINED int both(void) { return ++seen; }
        XDP one(struct xdp_md *context) { return both() + 10; }
        XDP two(struct xdp_md *context) { return both() + 20; }
    """)
    with loaded(found, wanted={"one": Flavour.XDP, "two": Flavour.XDP}) as opened:
        asm = Assembler()
        asm.mov(R6, R1)
        asm.call_function("one")
        asm.mov(R1, R6)
        asm.mov(R6, R0)
        asm.call_function("two")
        asm.lsh(R0, 8)
        asm.or_(R0, R6)
        asm.exit()
        for name, each in opened.programs.items():
            asm.embed(name, each.code, each.functions, each.lines)
        sources = opened.programs["one"].sources
        debug = btf.describe("caller", asm.lines, sources, asm.functions)
        with programs.load(asm.assemble(), Flavour.XDP, "caller", debug) as made:
            assert made.run(FRAME).code == 22 << 8 | 11


def test_a_tail_call_comes_back_to_the_caller(compile_c: Compile) -> None:
    """The program that it goes on in is loaded as well, though nobody asked for it by name."""
    found = compile_c("""
        XDP other(struct xdp_md *context) { return XDP_TX; }
        struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 1);
            __type(key, __u32); __array(values, int(void *)); }
        next SEC(".maps") = { .values = { [0] = (void *)&other } };
        XDP xdp_main(struct xdp_md *context) {
            bpf_tail_call(context, &next, 0);
            return XDP_ABORTED;
        }
    """)
    assert found.members == ("other",)
    assert came_back(found, stack=224) == XDP_TX
    with pytest.raises(KernelError, match="call stack of previous frames is 256 bytes") as caught:
        came_back(found, stack=256)
    assert "256 bytes of stack" in str(complaint.hint(caught.value.reason))


def test_a_caller_may_make_tail_calls_itself(compile_c: Compile) -> None:
    """As a pipeline in parts does; on kernels and machines that allow both in one program."""
    with (
        loaded(compile_c(EVERYTHING)) as opened,
        maps.create(maps.MapType.PROG_ARRAY, 4, 4, 1, "parts") as parts,
    ):
        found = opened.programs["xdp_main"]
        asm = Assembler()
        asm.mov(R6, R1)
        asm.tail_call(R6, parts.fd, 0)
        asm.mov(R1, R6)
        asm.call_function("user")
        asm.add(R0, BACK)
        asm.exit()
        asm.embed("user", found.code, found.functions, found.lines)
        debug = btf.describe("caller", asm.lines, found.sources, asm.functions)
        with programs.load(asm.assemble(), Flavour.XDP, "caller", debug) as made:
            assert made.run(FRAME).code == XDP_PASS + BACK


def test_fields_of_the_kernel_are_relocated(compile_c: Compile) -> None:
    """Here ifindex stands at 0 and `nothing` at 4; in no kernel either does."""
    found = compile_c("""
        struct net_device { int ifindex; int nothing; } __attribute__((preserve_access_index));
        XDP xdp_main(struct xdp_md *context) {
            struct net_device *none = 0;
            if (bpf_core_field_exists(none->nothing)) return 1;
            return bpf_core_field_exists(none->ifindex)
                ? (long)__builtin_preserve_access_index(&none->ifindex) : 2;
        }
    """)
    assert came_back(found) > 2


def test_a_packet_pointer_is_stale_after_the_call(compile_c: Compile) -> None:
    """The verifier knows that the user's program may move the frame's begin."""
    found = compile_c("""
        XDP xdp_main(struct xdp_md *context) {
            return bpf_xdp_adjust_head(context, 4) ? XDP_ABORTED : XDP_PASS;
        }
    """)
    with loaded(found) as opened:
        each = opened.programs["xdp_main"]
        with embed(each) as made:
            assert made.run(FRAME).frame == FRAME[4:]
            assert made.run(FRAME).code == XDP_PASS + BACK


def test_only_what_is_wanted_is_loaded(compile_c: Compile) -> None:
    """Not what stands beside it: for other hooks, or refused by this kernel."""
    found = compile_c(
        NO_CHECK.replace("xdp_main", "bad")
        + """
        SEC("fentry/no_such_function") int other(void *context) { return 0; }
        XDP xdp_main(struct xdp_md *context) { return XDP_TX; }
    """
    )
    assert came_back(found) == XDP_TX


# --- more than one buffer


def test_bytes_behind_the_first_buffer(compile_c: Compile) -> None:
    found = compile_c("""
        XDP xdp_main(struct xdp_md *context) {
            unsigned char byte = 0;
            if ((void *)(long)context->data + 8001 <= (void *)(long)context->data_end) return 1000;
            if (xdpctl_load_bytes(context, 8000, &byte, 1)) return 1001;
            return xdpctl_length(context) == 9000 ? byte : 1002;
        }
    """)
    frame = bytearray(9000)
    frame[8000] = 77
    assert came_back(found, bytes(frame)) == 77


# --- tc

POLICY = """
__u64 seen;
static __always_inline int decide(struct xdpctl_frame *frame) {
    unsigned char *data = frame->data, last = 0;
    if ((void *)(data + 14) > frame->data_end) return XDPCTL_DROP;
    __sync_fetch_and_add(&seen, 1);
    if (xdpctl_load_bytes(frame, xdpctl_length(frame) - 1, &last, 1)) return XDPCTL_DROP;
    return data[13] == 7 && last == 9 ? XDPCTL_PASS : XDPCTL_DROP;
}
XDPCTL_POLICY(xdp_main, decide)
"""


def test_one_function_at_both_hooks(compile_c: Compile) -> None:
    passes, drops = bytes(13) + b"\x07" + bytes(49) + b"\x09", bytes(64)
    both = {"xdp_main": Flavour.XDP, "xdp_main_tc": Flavour.TC}
    with loaded(compile_c(POLICY), wanted=both) as opened:
        with embed(opened.programs["xdp_main"]) as made:
            assert [made.run(one).code - BACK for one in (passes, drops)] == [XDP_PASS, XDP_DROP]
        with embed(opened.programs["xdp_main_tc"], Flavour.TC) as made:
            codes = [made.run(one).code - BACK for one in (passes, drops)]
            assert codes == [-1, 2]
        assert number(opened, ".bss") == 4


def test_headers_at_tc_lie_where_data_points(compile_c: Compile, netns: Netns, pin: Path) -> None:
    """TCP keeps what it sends in pages: without the pull there are the headers alone."""
    found = compile_c("""
        __u64 there; __u64 missing;
        static __always_inline int decide(struct xdpctl_frame *frame) {
            if (xdpctl_length(frame) >= 1000) {
                if (frame->data + 128 > frame->data_end) missing++; else there++;
            }
            return XDPCTL_PASS;
        }
        XDPCTL_POLICY(xdp_main, decide)
    """)
    with loaded(found, wanted={"xdp_main_tc": Flavour.TC}) as opened:
        asm = Assembler()
        asm.call_function("user")
        asm.exit()
        each = opened.programs["xdp_main_tc"]
        asm.embed("user", each.code, each.functions)
        debug = btf.describe("caller", asm.lines, {}, asm.functions)
        with programs.load(asm.assemble(), Flavour.TC, "caller", debug) as made:
            pins.pin(made.fd, pin)
        netns.run("tc", "qdisc", "add", "dev", "lo", "clsact")
        netns.run("tc", "filter", "add", "dev", "lo", "ingress", "bpf", "da", "pinned", str(pin))
        with (
            netns.entered(),
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname(), 5) as client,
        ):
            client.sendall(bytes(8000))
        with maps.open_id(opened.maps[".bss"].id) as found_map:
            there, missing = struct.unpack("=QQ", found_map.lookup(bytes(4)) or b"")
    assert there > 0
    assert missing == 0


@pytest.mark.parametrize("section", ["tc", "classifier", "tcx/ingress", "action"])
def test_sections_that_libbpf_may_not_know(compile_c: Compile, section: str) -> None:
    source = f'SEC("{section}") int xdp_main(struct __sk_buff *context) {{ return 2; }}'
    with (
        loaded(compile_c(source), wanted={"xdp_main": Flavour.TC}) as opened,
        embed(opened.programs["xdp_main"], Flavour.TC) as made,
    ):
        assert made.run(FRAME).code == 2 + BACK


def test_the_example_drops_what_is_over_its_limit(tmp_path: Path) -> None:
    found = build(EXAMPLE / "mine.bpf.c", tmp_path / "mine.bpf.o")
    frame = bytes(12) + b"\x08\x00" + bytes(range(50))
    with loaded(found) as opened, embed(opened.programs["xdp_main"]) as made:
        assert made.run(frame, repeat=1000).code == XDP_PASS + BACK
        assert made.run(frame).code == XDP_DROP + BACK
        assert made.run(frame[:26] + bytes(38)).code == XDP_PASS + BACK


# --- what debuggers see


def test_the_dump_shows_the_users_source(compile_c: Compile) -> None:
    with loaded(compile_c(EVERYTHING)) as opened:
        made = embed(opened.programs["xdp_main"])
    with made:
        command = ["bpftool", "prog", "dump", "xlated", "id", str(made.info.id), "linum"]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "int first():" in told
    assert "; seen++; started++; [file:" in told
    assert "mine.bpf.c line_num:" in told


# --- maps that were there before


def test_live_maps_are_gone_on_with(compile_c: Compile) -> None:
    found = compile_c(EVERYTHING)
    with loaded(found) as old:
        with embed(old.programs["xdp_main"]) as made:
            made.run(FRAME)
        kept = {name: each.fd for name, each in old.maps.items()}
        with loaded(found, kept=kept) as new:
            assert {name for name, each in new.maps.items() if each.kept} == {
                "counts", ".bss", ".data",
            }  # fmt: skip
            assert new.maps["counts"].id == old.maps["counts"].id
            assert new.maps[".rodata"].id != old.maps[".rodata"].id  # belongs to the code
            with embed(new.programs["xdp_main"]) as made:
                made.run(FRAME)
            assert number(new, ".bss") == 2
            assert number(new, "counts", 3) == 2 * sum(range(7))


def test_a_map_of_another_shape_is_made_anew(compile_c: Compile) -> None:
    with loaded(compile_c(EVERYTHING)) as old:
        kept = {"counts": old.maps["counts"].fd}
        other = compile_c(EVERYTHING.replace("__u64, 16", "__u64, 32"))
        with loaded(other, kept=kept) as new:
            assert not new.maps["counts"].kept
            assert new.maps["counts"].id != old.maps["counts"].id


def test_a_pinned_map_outlives_its_object(compile_c: Compile, pin: Path) -> None:
    found = compile_c(EVERYTHING)
    for times in (1, 2):
        with loaded(found, pinned={"counts": pin}) as opened:
            assert opened.maps["counts"].kept is (times == 2)
            with embed(opened.programs["xdp_main"]) as made:
                made.run(FRAME)
            assert number(opened, "counts", 3) == times * sum(range(7))


def test_another_map_is_pinned_there(compile_c: Compile, pin: Path) -> None:
    with loaded(compile_c(EVERYTHING), pinned={"counts": pin}):
        pass
    other = compile_c(EVERYTHING.replace("__u64, 16", "__u64, 32"))
    with (
        pytest.raises(ConflictError, match=r"counts of mine\.bpf\.o: .* 16 entries.* 32 ent"),
        loaded(other, pinned={"counts": pin}),
    ):
        pass


def test_a_program_is_pinned_there(compile_c: Compile, pin: Path) -> None:
    asm = Assembler()
    asm.mov(R0, 0)
    asm.exit()
    with programs.load(asm.assemble(), Flavour.XDP, "other") as other:
        pins.pin(other.fd, pin)
    with (
        pytest.raises(ConflictError, match="is no map, but a prog"),
        loaded(compile_c(EVERYTHING), pinned={"counts": pin}),
    ):
        pass


def test_what_fails_to_load_leaves_no_pin(compile_c: Compile, pin: Path) -> None:
    with pytest.raises(KernelError), loaded(compile_c(NO_CHECK), pinned={"counts": pin}):
        pass
    assert not pin.exists()


def test_private_maps_are_nobody_elses(compile_c: Compile) -> None:
    """Not even where the object itself says that its map is pinned (LIBBPF_PIN_BY_NAME)."""
    name = f"xt_{os.getpid()}"
    own = pins.BPFFS / name
    found = compile_c(f"""
        struct {{ __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32);
            __type(value, __u64); __uint(pinning, LIBBPF_PIN_BY_NAME); }} {name} SEC(".maps");
        XDP xdp_main(struct xdp_md *context) {{
            __u32 key = 0;
            return bpf_map_lookup_elem(&{name}, &key) ? XDP_PASS : XDP_DROP;
        }}
    """)
    try:
        with loaded(found) as shared, loaded(found, private=True) as opened:
            assert own.exists()
            assert opened.maps[name].id != shared.maps[name].id
        with loaded(found) as again:
            assert again.maps[name].kept
            with loaded(found, private=True, kept={name: again.maps[name].fd}) as opened:
                assert opened.maps[name].id != again.maps[name].id
        own.unlink()
        with loaded(found, private=True, pinned={name: own}):
            assert not own.exists()
    finally:
        own.unlink(missing_ok=True)


# --- what is refused

NO_CHECK = """
MAP(counts, BPF_MAP_TYPE_HASH, __u32, __u64, 16);
XDP xdp_main(struct xdp_md *context) {
    unsigned char *data = (void *)(long)context->data;
    __u32 key = 0;
    bpf_map_lookup_elem(&counts, &key);
    return data[3] == 7 ? XDP_DROP : XDP_PASS;
}
"""
REFUSED = {
    "no bounds check": (NO_CHECK, "; return data[3] == 7", "compare with data_end"),
    "no check for NULL": (
        "MAP(counts, BPF_MAP_TYPE_HASH, __u32, __u64, 16); "
        "XDP xdp_main(struct xdp_md *context) { __u32 key = 1;\n"
        "__u64 *found = bpf_map_lookup_elem(&counts, &key);\nreturn *found; }",
        "; return *found",
        "may be NULL",
    ),
    "a loop without an end": (
        'XDP xdp_main(struct xdp_md *context) { for (;;)\nasm volatile(""); }',
        "infinite loop detected at insn",
        "bpf_loop",
    ),
    "too much stack": (
        "NOT_INLINED int deep(volatile char *from) { volatile char more[300];\n"
        "for (int i = 0; i < 300; i++) more[i] = from[i & 7]; return more[from[0] & 127]; }\n"
        "XDP xdp_main(struct xdp_md *context) { volatile char big[300];\n"
        "for (int i = 0; i < 300; i++) big[i] = i;\nreturn deep(big); }",
        "combined stack size of 2 calls is",
        "512 bytes of stack",
    ),
    "a field that is not there": (
        "struct net_device { int nothing; } __attribute__((preserve_access_index));\n"
        "XDP xdp_main(struct xdp_md *context) { struct net_device *none = 0;\n"
        "return (long)__builtin_preserve_access_index(&none->nothing); }",
        "failed to resolve CO-RE relocation",
        "bpf_core_field_exists",
    ),
    "a helper of other programs": (
        "XDP xdp_main(struct xdp_md *context) {\nreturn bpf_skb_pull_data((void *)context, 9); }",
        "bpf_skb_pull_data#39",
        "has no such helper for this type",
    ),
    "a map that cannot be": (
        "MAP(counts, BPF_MAP_TYPE_HASH, __u32, __u64, 0); "
        "XDP xdp_main(struct xdp_md *context) { __u32 key = 1;\n"
        "return !!bpf_map_lookup_elem(&counts, &key); }",
        "map 'counts': failed to create: Invalid argument",
        None,
    ),
    "a function that nobody has": (
        "extern int nothing(void) __ksym;\n"
        "XDP xdp_main(struct xdp_md *context) { return nothing(); }",
        "'nothing'",
        None,
    ),
}


@pytest.mark.parametrize(("source", "told", "fix"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_is_short_and_helps(
    compile_c: Compile, source: str, told: str, fix: str | None
) -> None:
    with pytest.raises(KernelError) as caught, loaded(compile_c(source)):
        pass
    reason = caught.value.reason
    assert told in reason
    assert len(reason.splitlines()) <= 10
    assert "R10=fp0" not in reason
    assert (fix or "None") in str(caught.value.hint)


@pytest.mark.parametrize(("stack", "fits"), [(320, True), (336, False)])
def test_the_caller_and_the_user_share_the_stack(
    compile_c: Compile, stack: int, fits: bool
) -> None:
    """512 bytes together, each rounded up to 16 (round_up_stack_depth), 32 on older kernels."""
    found = compile_c("""
        XDP xdp_main(struct xdp_md *context) { volatile char big[180];
            for (int i = 0; i < 180; i++) big[i] = i;
            return big[bpf_get_prandom_u32() & 127] < 0; }
    """)
    if fits:
        assert came_back(found, stack=stack) in (0, 1)
        return
    with pytest.raises(KernelError, match="combined stack size of 2 calls is") as caught:
        came_back(found, stack=stack)
    assert "512 bytes of stack" in str(complaint.hint(caught.value.reason))


@pytest.mark.parametrize(
    ("wanted", "pinned", "message"),
    [
        ({"xdp_mian": Flavour.XDP}, {}, r"has no program xdp_mian \(it has xdp_main\)"),
        ({}, {"count": Path("/sys/fs/bpf/x")}, r"has no map count \(it has counts, "),
    ],
)
def test_names_that_are_not_there(
    compile_c: Compile, wanted: dict[str, Flavour], pinned: dict[str, Path], message: str
) -> None:
    with pytest.raises(XdpctlError, match=message), loaded(
        compile_c(EVERYTHING), wanted=wanted, pinned=pinned
    ):  # fmt: skip
        pass


def test_nothing_is_left_open(compile_c: Compile) -> None:
    found, bad = compile_c(EVERYTHING), compile_c(NO_CHECK)
    before = os.listdir("/proc/self/fd")
    with loaded(found), pytest.raises(KernelError), loaded(bad):
        pass
    assert os.listdir("/proc/self/fd") == before
