"""One pipeline's links: made, replaced in place, moved from the root to its ports and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from xdpctl.apply import adoption, roots
from xdpctl.apply.undo import Undo
from xdpctl.bpf import links, pins, program
from xdpctl.bpf.program import Program
from xdpctl.datapath.blueprint import Pipeline
from xdpctl.datapath.hooks import Hook, read_hooks
from xdpctl.datapath.pin_names import hook_pin
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
        if self._wanted.mode == "native" and self._moves(stale):
            for hook in stale:  # the pin keeps what it is made of until something else is attached
                path = self._directory / hook.pin
                roots.sever(path, self._opened(hook), hook.ifindex, hook.mode, self._undo)
            stale = [replace(hook, ifindex=0) for hook in stale]
        present = {hook.ifindex: hook for hook in hooks if hook.ifindex}
        fresh = [self._hang(loaded, link, present, foreign) for link in wanted]
        self._release(stale, fresh)
        self._tidy([hook for hook in hooks if hook.ifindex in indexes])

    def _moves(self, stale: Sequence[Hook]) -> bool:
        """Whether it goes from the root to its ports, or back."""
        on_ports = self._wanted.hooks != (self._wanted.root,)
        return any(hook.on_port != on_ports for hook in stale)

    def _hang(
        self,
        loaded: Program,
        link: Link,
        present: Mapping[int, Hook],
        foreign: Mapping[str, int],
    ) -> Path:
        """Attach to one device, or replace what is there; where its link is pinned."""
        hook, path = present.get(link.ifindex), self._path(link)
        if hook is not None:
            path, old = self._directory / hook.pin, self._opened(hook)
            if hook.mode == self._wanted.mode:
                roots.update(path, loaded, old, self._undo)
                return path
            roots.sever(path, old, hook.ifindex, hook.mode, self._undo)
        if link.name in foreign:
            roots.evict(link, foreign[link.name], self._undo)
        elif hook is None and adoption.take_over(
            loaded, link, self._wanted.mode, path, self._entry, self._host, self._undo, self._keep
        ):
            return path
        roots.attach(loaded, self._wanted, link, path, self._undo)
        return path

    def _tidy(self, hooks: Sequence[Hook]) -> None:
        """Give each link one pin, under the pipeline's name: a run was killed while one of them was
        adopted.
        """
        seen: set[int] = set()
        for hook in sorted(hooks, key=lambda one: not one.is_of(self._entry)):
            path = self._directory / hook.pin
            if hook.ifindex in seen:
                link = links.Link(pins.open_pin(path))
                self._undo.add(lambda link=link, path=path: pins.replace(link.fd, path))  # type: ignore[misc]
                pins.remove(path)
            elif not hook.is_of(self._entry):
                proper = self._path(self._host.by_index[hook.ifindex])
                self._undo.add(partial(roots.repin, proper, path))
                roots.repin(path, proper)
            seen.add(hook.ifindex)

    def _release(self, hooks: Sequence[Hook], fresh: Sequence[Path]) -> None:
        """Take the program off, and the pin away where no new link has it."""
        for hook in hooks:
            path = self._directory / hook.pin
            if path not in fresh:
                roots.detach(path, self._opened(hook), hook.ifindex, hook.mode, self._undo)

    def _path(self, link: Link) -> Path:
        """Where to pin a new link: under the device's name; with its ifindex besides where the link
        of another is pinned there, as devices may be renamed.
        """
        on_root = link.name == self._wanted.root
        path = self._directory / hook_pin(self._entry, None if on_root else link.name)
        there = read_hooks([path], self._host) if path.exists() else []
        taken = any(hook.ifindex not in (0, link.ifindex) for hook in there)
        return path.with_name(f"{path.name}%i{link.ifindex}") if taken else path

    def _opened(self, hook: Hook) -> Program:
        return self._keep(program.open_id(hook.program_id))
