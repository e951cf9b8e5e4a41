"""One pipeline's links: made, replaced in place, moved from the root to its ports and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from xdpctl.apply import roots
from xdpctl.apply.undo import Undo
from xdpctl.bpf import links, pins, program
from xdpctl.bpf.program import Program
from xdpctl.datapath.blueprint import Pipeline
from xdpctl.datapath.hooks import Hook, read_hooks
from xdpctl.datapath.pin_names import hook_pin, hooked
from xdpctl.host.state import Host, Link


class Attachment:
    """Attaches a pipeline to the devices of `wanted.hooks`, and takes it off all others."""

    def __init__(
        self,
        host: Host,
        wanted: Pipeline,
        directory: Path,
        entry: str,
        undo: Undo,
        keep: Callable[[Program], Program],
    ) -> None:
        self._host = host
        self._wanted = wanted
        self._directory = directory
        self._entry = entry
        self._undo = undo
        self._keep = keep

    def sync(self, loaded: Program, hooks: Sequence[Hook], foreign: Mapping[str, int]) -> None:
        """Put `loaded` in force in place of what the `hooks` have.

        The kernel runs nothing on a bond natively whose ports have programs, nor on a port whose
        bond has one (bond_xdp_set, dev_xdp_attach): from one to the other it is taken off first.
        Among ports, and from native to generic, it is attached first.
        """
        hooks = [hook for hook in hooks if (self._directory / hook.pin).exists()]  # not adopted
        wanted = [self._host.by_name[name] for name in self._wanted.hooks]
        indexes = {link.ifindex for link in wanted}
        stale = [hook for hook in hooks if hook.ifindex not in indexes]
        pinned = {self._pin(link) for link in wanted}
        moves = any(hook.on_port != (self._wanted.hooks != (self._wanted.root,)) for hook in stale)
        first = [
            hook
            for hook in stale
            if hook.pin in pinned or (moves and self._wanted.mode == "native")
        ]
        for hook in first:  # the pin keeps what it is made of until something else is attached
            path = self._directory / hook.pin
            roots.sever(path, self._opened(hook), hook.ifindex, hook.mode, self._undo)
        stale = [replace(hook, ifindex=0) if hook in first else hook for hook in stale]
        present = {hook.ifindex: hook for hook in hooks if hook.ifindex}
        for link in wanted:
            self._hang(loaded, link, present.get(link.ifindex), foreign.get(link.name))
        self._release(stale, pinned)
        for hook in hooks:
            if hook.ifindex in indexes:
                self._tidy(hook)

    def _hang(self, loaded: Program, link: Link, hook: Hook | None, foreign: int | None) -> None:
        path = self._directory / self._pin(link)
        if hook is not None:
            old = self._opened(hook)
            if hook.mode == self._wanted.mode:
                roots.update(self._directory / hook.pin, loaded, old, self._undo)
                return
            roots.sever(self._directory / hook.pin, old, hook.ifindex, hook.mode, self._undo)
        if foreign is not None:
            roots.evict(link, foreign, self._undo)
        elif hook is None and (other := self._of_another(link)) is not None:
            old = self._opened(other)
            roots.adopt(self._directory / other.pin, path, loaded, old, self._undo)
            return
        roots.attach(loaded, self._wanted, link, path, self._undo)

    def _of_another(self, link: Link) -> Hook | None:
        """What attaches another pipeline of ours to the device: of a root that it is no port of any
        more, or that it becomes one of. From one to the other it goes without a gap.
        """
        entries = pins.entries(self._directory)
        others = [path for path in entries if hooked(path.name) not in (None, self._entry)]
        found = [one for one in read_hooks(others, self._host) if one.ifindex == link.ifindex]
        return next((one for one in found if one.mode == self._wanted.mode), None)

    def _tidy(self, hook: Hook) -> None:
        """Give the link the pin that it should have: a run was killed while it was adopted."""
        path = self._directory / hook.pin
        proper = self._directory / self._pin(self._host.by_index[hook.ifindex])
        if path == proper:
            return
        if proper.exists():
            link = links.Link(pins.open_pin(path))
            pins.remove(path)
            self._undo.add(partial(pins.replace, link.fd, path))
        else:
            roots.repin(path, proper)
            self._undo.add(partial(roots.repin, proper, path))

    def _release(self, hooks: Sequence[Hook], pinned: set[str]) -> None:
        """Take the program off, and the pin away where no new link has it."""
        for hook in hooks:
            if hook.pin not in pinned:
                path, old = self._directory / hook.pin, self._opened(hook)
                roots.detach(path, old, hook.ifindex, hook.mode, self._undo)

    def _pin(self, link: Link) -> str:
        on_root = link.name == self._wanted.root
        return hook_pin(self._entry, None if on_root else link.name)

    def _opened(self, hook: Hook) -> Program:
        return self._keep(program.open_id(hook.program_id))
