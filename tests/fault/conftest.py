"""The namespaces of the kernel tests, here too, and a user's own program for the scenes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault.pipeline import OBJECT, USER_PIN
from tests.kernel.conftest import netns, netnses
from xdpctl.bpf import elf

__all__ = ["netns", "netnses"]

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <xdpctl.h>
char LICENSE[] SEC("license") = "Dual BSD/GPL";
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32);
         __type(value, __u64); } seen SEC(".maps");
__u64 global;
static __always_inline int decide(struct xdpctl_frame *frame) {
    __u32 key = 0; __u64 *value = bpf_map_lookup_elem(&seen, &key);
    if (value) __sync_fetch_and_add(value, 1);
    __sync_fetch_and_add(&global, 1);
    return XDPCTL_DROP;
}
XDPCTL_POLICY(xdp_main, decide)
"""


@pytest.fixture(scope="session", autouse=True)
def own_object() -> Iterator[None]:
    """Compile it; take it away again, and the map that stays pinned."""
    if shutil.which("clang") is None:
        pytest.skip("needs clang")
    OBJECT.parent.mkdir()
    source = OBJECT.with_suffix(".c")
    source.write_text(SOURCE)
    include = Path(elf.__file__).parents[1] / "include"
    try:
        subprocess.run(
            ["clang", "-O2", "-g", "-target", "bpf", f"-I{include}",
             f"-I/usr/include/{os.uname().machine}-linux-gnu", "-c", source, "-o", OBJECT],
            check=True,
        )  # fmt: skip
        yield
    finally:
        shutil.rmtree(OBJECT.parent)
        USER_PIN.unlink(missing_ok=True)


@pytest.fixture(autouse=True)
def no_user_pin() -> Iterator[None]:
    """Every test begins without the pinned map, which outlives what made it."""
    yield
    USER_PIN.unlink(missing_ok=True)
