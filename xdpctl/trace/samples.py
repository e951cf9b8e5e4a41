"""What rules with `log` show of live frames: samples, as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Self

from xdpctl.bpf import maps
from xdpctl.bpf.ring import Ring
from xdpctl.datapath import map_names
from xdpctl.datapath.loaded import Live, LivePipeline
from xdpctl.host.state import AWAY, Host
from xdpctl.policy.frame import Headers, parse
from xdpctl.policy.sample import HEADER
from xdpctl.record import record
from xdpctl.trace.frame_text import frame_text
from xdpctl.trace.journey import Blocks

PATIENCE = 100
"""Milliseconds after which a listener looks whether it is to end."""
LOOK = 1.0
"""Seconds after which it looks whether its pipelines were replaced."""


@record
class Sample:
    """A frame that met a rule with `log`.

    nanoseconds  since boot
    layer        native, generic: the root's own stage; dispatched: a device's, in its program;
                 backstop: the same at the device itself
    frame        its first bytes; `length` is that of all of it
    """

    nanoseconds: int
    device: str
    layer: str
    policy: str
    rule: str
    length: int
    frame: bytes

    @property
    def headers(self) -> Headers:
        """What can be read of it; its length is that of all of it."""
        found = parse(self.frame)
        found.length = self.length
        return found

    def document(self) -> dict[str, Any]:
        """The sample for programs."""
        return {
            "format": 1,
            "nanoseconds": self.nanoseconds,
            "device": self.device,
            "layer": self.layer,
            "policy": self.policy,
            "rule": self.rule,
            "length": self.length,
            "packet": frame_text(self.frame),
            "hex": self.frame.hex(),
        }


Observe = Callable[[], tuple[Host, Live]]
"""Looks at the links and pipelines as they are now."""


class Listener:
    """Listens to all pipelines of a topology, whatever they are replaced by; for a `with` block.

    The rules' samples are few (ten a second and rule), and those that come while nobody listens
    fill the buffer and are the first to be heard: they are thrown away.
    """

    def __init__(self, observe: Observe) -> None:
        self._observe = observe
        self._ears = _Ears(*observe())
        self._looked = time.monotonic()

    @property
    def hears_any(self) -> bool:
        """Whether there is a pipeline at all."""
        return bool(self._ears.programs)

    def __enter__(self) -> Self:
        self._ears.heard(0)
        return self

    def __exit__(self, *_: object) -> None:
        self._ears.close()

    def samples(self, until: Callable[[], bool]) -> Iterator[Sample]:
        """Samples as they come, until the function says so."""
        while not until():
            yield from self._ears.heard(PATIENCE)
            if time.monotonic() > self._looked + LOOK:
                yield from self._follow()

    def _follow(self) -> Iterator[Sample]:
        """Go over to the pipelines that there are now; the others' last samples come first."""
        self._looked = time.monotonic()
        now = _Ears(*self._observe())
        if now.known == self._ears.known:
            now.close()
            return
        before, self._ears = self._ears, now
        yield from before.heard(0)
        before.close()


class _Ears:
    """Listens to the pipelines of one moment."""

    def __init__(self, host: Host, live: Live) -> None:
        names = {link.ifindex: link.name for link in host.links}
        self._pipelines = list(live.pipelines.values())
        self.programs = {each.program_id for each in self._pipelines}
        self.known = {
            (each.program_id, entry.ifindex, entry.policy, entry.block)
            for each in self._pipelines
            for entry in each.entries.values()
        } | {(number, 0, 0, 0) for number in self.programs}
        self._blocks = [_blocks(each, names) for each in self._pipelines]
        self._found: list[Sample] = []
        self._kept = ExitStack()
        buffers = [maps.open_id(each.maps[map_names.SAMPLES]) for each in self._pipelines]
        for each in buffers:
            self._kept.callback(each.close)
        self._ring = self._kept.enter_context(Ring(buffers, self._hear))

    def close(self) -> None:
        """Stop listening."""
        self._kept.close()

    def heard(self, milliseconds: int) -> list[Sample]:
        """What has come by then."""
        if self._pipelines:
            self._ring.poll(milliseconds)
        else:
            time.sleep(milliseconds / 1000)
        found, self._found = self._found, []
        return found

    def _hear(self, number: int, record: bytes) -> None:
        nanoseconds, counter, length, ifindex, taken = HEADER.unpack_from(record)
        pipeline = self._pipelines[number]
        met = self._blocks[number].met(counter)
        if met is None:
            return  # of a device that came since the last look: the next one will know it
        device, policy, rule = met
        own = pipeline.mode if device == pipeline.root else "dispatched"
        at_device = ifindex == AWAY or ifindex in pipeline.entries  # else the root or a port of it
        layer = "backstop" if at_device else own
        frame = record[HEADER.size : HEADER.size + taken]
        name = rule.name if rule is not None else "default"
        self._found.append(Sample(nanoseconds, device, layer, policy, name, length, frame))


def _blocks(pipeline: LivePipeline, names: dict[int, str]) -> Blocks:
    present = {index: entry for index, entry in pipeline.entries.items() if index in names}
    return Blocks(pipeline.description, present, names)
