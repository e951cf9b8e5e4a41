"""`xdpctl demo`: the whole idea in ten seconds, on this kernel, in throw-away namespaces."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from xdpctl.cli.apply import apply
from xdpctl.cli.options import Options
from xdpctl.cli.plan import plan
from xdpctl.cli.show import show
from xdpctl.errors import UsageError

if TYPE_CHECKING:
    from xdpctl.cli.wire import Wire

_FILE = "demo.yaml"
_NAME = "demo"
_RATE = 1000  # frames of each sort a second, while the rule changes
_MARGIN = 0.3  # seconds of traffic before and after the change


def demo(options: Options) -> None:
    """See it work in throw-away namespaces.

    Makes two network namespaces, applies a topology, sends real packets, changes a rule under
    traffic, and cleans everything up.
    """
    if options.structured or options.netns:
        raise UsageError("the demo is for people to read, and brings its own namespaces")
    from importlib import resources
    from tempfile import TemporaryDirectory

    from xdpctl.apply import run
    from xdpctl.cli.wire import wire

    with wire() as cable, TemporaryDirectory(prefix="xdpctl-") as folder:
        file = Path(folder, _FILE)
        file.write_bytes(resources.files("xdpctl.cli").joinpath(_FILE).read_bytes())
        inside = replace(options, netns=cable.host)
        try:
            _Story(inside, cable, file).tell()
        finally:
            with inside.namespace():
                run.destroy(_NAME, missing_ok=True)
    options.console.text("\nEverything is cleaned up again.")


class _Story:
    """The demo's chapters, in order."""

    def __init__(self, options: Options, cable: Wire, file: Path) -> None:
        self._options = options
        self._console = options.console
        self._cable = cable
        self._file = file

    def tell(self) -> None:
        """From an empty host to a rule changed under traffic."""
        self._say("A host has one NIC, eth0. This file wants two macvlans on it, a policy each:")
        self._console.text(self._file.read_text("utf-8").rstrip())
        self._say("What would change?", f"plan {_FILE}")
        plan(self._options, [str(self._file)])
        self._say("Make it so.", f"apply --quiet {_FILE}")
        apply(replace(self._options, quiet=True), [str(self._file)], yes=True)
        self._say("Is anything left to do?", f"plan {_FILE}")
        plan(self._options, [str(self._file)])
        self._say("Frames from the wire, from a neighbour, to one device and to all:")
        self._traffic()
        self._say("The same, as the programs in the kernel counted it:", f"show {_NAME}")
        show(self._options, [_NAME])
        self._say("Let web0 take tcp 22 as well, while frames come in.", f"apply {_FILE}")
        self._change_under_traffic()

    def _say(self, text: str, command: str | None = None) -> None:
        paint = self._console.paint
        self._console.text("\n" + paint(f"# {text}", "cyan"))
        if command:
            self._console.text(paint(f"$ xdpctl {command}", "bold"))

    def _traffic(self) -> None:
        from xdpctl.cli.wire import ADDRESSES, Frame, Receiver, Sender

        https, ssh, dns = Frame("tcp", 443), Frame("tcp", 22), Frame("udp", 53)
        with (
            Sender("dns0", self._cable.host) as neighbour,
            Receiver("web0", self._cable.host) as web,
            Receiver("dns0", self._cable.host) as names,
        ):
            peer = self._cable.peer
            self._console.text(f"{'SENT':<34} {'AT web0':>8} {'AT dns0':>8}")
            for sender, times, frame, to in (
                (peer, 5, https, "web0"),
                (peer, 3, ssh, "web0"),
                (peer, 4, dns, "dns0"),
                (peer, 2, https, "dns0"),
                (peer, 6, dns, "everybody"),
                (neighbour, 7, ssh, "web0"),
                (neighbour, 8, https, "web0"),
            ):
                sender.send(frame.to(ADDRESSES[to]), times)
                sent = f"{times} x {frame} to {to}" + " from dns0" * (sender is neighbour)
                arrived = f"{web.arrived()[frame]:>8} {names.arrived()[frame]:>8}"
                self._console.text(f"{sent:<34} {arrived}")

    def _change_under_traffic(self) -> None:
        import threading

        from xdpctl.cli.wire import ADDRESSES, Frame, Receiver

        https, ssh = Frame("tcp", 443), Frame("tcp", 22)
        text = self._file.read_text("utf-8").replace("tcp.dport: 443", "tcp.dport: [22, 443]")
        self._file.write_text(text, "utf-8")
        stop, sent = threading.Event(), 0

        def traffic() -> None:
            nonlocal sent
            while not stop.wait(1 / _RATE):
                for frame in (https, ssh):
                    self._cable.peer.send(frame.to(ADDRESSES["web0"]), 1)
                sent += 1

        with Receiver("web0", self._cable.host) as web:
            thread = threading.Thread(target=traffic)
            thread.start()
            try:
                time.sleep(_MARGIN)
                before = web.arrived()
                apply(self._options, [str(self._file)], yes=True)
                time.sleep(_MARGIN)
            finally:
                stop.set()
                thread.join()
            after = web.arrived()
        self._console.text(f"{'SENT':<17} {'ARRIVED BEFORE':>15} {'FROM apply ON':>15} {'LOST':>6}")
        for frame, wanted in ((https, sent), (ssh, None)):
            lost = "-" if wanted is None else wanted - before[frame] - after[frame]
            line = f"{f'{sent} x {frame}':<17} {before[frame]:>15} {after[frame]:>15} {lost:>6}"
            self._console.text(line)
