"""Policies that are users' own programs: loaded, called from ours, their verdicts counted.

The program is a function of ours (bpf/embedded.py): it is called, and what it returns comes back,
so a frame that it passes goes on to the next stage like one that rules have passed. It stands in a
part of its own, where our own share of the 512 bytes of stack is small.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from xdpctl.bpf import elf, maps
from xdpctl.bpf.asm import R0, R1, R6, Assembler
from xdpctl.bpf.elf import LoadedObject
from xdpctl.bpf.embedded import Embedded
from xdpctl.bpf.maps import Map
from xdpctl.bpf.program import Flavour
from xdpctl.errors import KernelError, StalePlanError, XdpctlError
from xdpctl.policy.compiler import Ends
from xdpctl.policy.parse import Hook
from xdpctl.topology.elf import read
from xdpctl.topology.model import Policy, UserProgram

CODES: Final[Mapping[Hook, Mapping[str, tuple[int, ...]]]] = {
    Hook.XDP: {"pass": (2,), "drop": (1,), "tx": (3,), "redirect": (4,)},
    Hook.TC: {"pass": (-1, 0, 3), "drop": (2,), "redirect": (7,)},
}
"""enum xdp_action and TC_ACT_*: what a program may return, by what becomes of the frame. OK and
PIPE of tc let the next filter see it, as UNSPEC does. Anything else is an error, and drops."""


@dataclass
class UserObjects:
    """The open objects of a pipeline's policies, by the policy's name."""

    loaded: dict[str, LoadedObject] = field(default_factory=dict)
    _kept: list[Map] = field(default_factory=list)

    def open(
        self,
        policies: Mapping[str, Policy],
        before: Mapping[str, tuple[str, Mapping[str, int]]],
        *,
        private: bool = False,
    ) -> None:
        """Load the objects that are not open yet.

        An object that is what it was goes on with the maps that it had (`before`, by policy: its
        digest and ids). `private`: nothing is shared with other programs, and nothing pinned.
        """
        for name, policy in policies.items():
            if policy.object is None or name in self.loaded:
                continue
            digest, ids = before.get(name, ("", {}))
            same = digest == policy.object.digest
            kept = dict(_still_there(ids)) if same else {}
            self._kept += kept.values()
            try:
                self.loaded[name] = _load(policy.object, kept, private=private)
            except KernelError as error:
                where = f"{policy.location}: policy {name}: {error.operation}"
                refused = KernelError(where, error.errno, error.reason)
                refused.hint = error.hint
                raise refused from error

    def embedded(self, policy: Policy, hook: Hook) -> Embedded | None:
        """The policy's program for this hook; None if it has none."""
        assert policy.object is not None
        name = policy.object.program if hook is Hook.XDP else policy.object.tc
        return self.loaded[policy.name].programs[name] if name else None

    def loaded_maps(self, policies: Mapping[str, Policy]) -> dict[str, tuple[str, dict[str, int]]]:
        """For the pipeline's description: an object's digest, and the ids of its maps."""
        return {
            name: (policy.object.digest, {each: one.id for each, one in loaded.maps.items()})
            for name, policy in policies.items()
            if policy.object is not None and (loaded := self.loaded[name])
        }

    def close(self) -> None:
        """Close them; their maps live on in the programs that use them."""
        for loaded in self.loaded.values():
            loaded.close()
        for kept in self._kept:
            kept.close()


def _still_there(ids: Mapping[str, int]) -> Iterator[tuple[str, Map]]:
    """The maps that there are yet: one that no loaded program uses went with the process that made
    it.
    """
    for name, number in ids.items():
        try:
            yield name, maps.open_id(number)
        except KernelError as error:
            if error.errno != errno.ENOENT:
                raise


def _load(wanted: UserProgram, kept: Mapping[str, Map], *, private: bool) -> LoadedObject:
    try:
        found = read(wanted.path)
    except ValueError as error:
        raise XdpctlError(f"{wanted.path} {error}") from None
    if hashlib.sha256(found.data).hexdigest() != wanted.digest:
        raise StalePlanError(f"{wanted.path} has changed since it was checked", hint="try again")
    programs = {wanted.program: Flavour.XDP}
    if wanted.tc:
        programs[wanted.tc] = Flavour.TC
    return elf.load(
        found,
        wanted.path,
        programs,
        pins={name: Path(path) for name, path in wanted.maps},
        kept={name: each.fd for name, each in kept.items()},
        private=private,
    )


def emit_program(
    asm: Assembler, label: str, hook: Hook, counters: Mapping[str, int], ends: Ends
) -> None:
    """Call the program at the label, and go where it says: R1 is the counter of its verdict.

    Everything but R6 to R9 is clobbered, and every packet pointer is stale.
    """
    asm.mov(R1, R6)
    asm.call_function(label)
    labels = {"pass": ends.passed, "drop": ends.dropped, "tx": ends.tx, "redirect": "forwarded"}
    ways = {word: asm.unique(word) for word in CODES[hook]}
    for word, codes in CODES[hook].items():
        for code in codes:
            asm.jump32("==", R0, code & 0xFFFF_FFFF, ways[word])
    asm.mov(R1, counters["aborted"])
    asm.ja(ends.dropped)
    for word, way in ways.items():
        asm.label(way)
        asm.mov(R1, counters[word])
        asm.ja(labels[word])
