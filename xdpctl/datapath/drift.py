"""What the kernel's own state gives away, without a file: attachments and addresses gone astray."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from xdpctl.datapath.layout import mac_number, mac_text
from xdpctl.datapath.loaded import Live, LivePipeline
from xdpctl.datapath.pin_names import hooked_device
from xdpctl.host.state import AWAY, Host


def drifted(host: Host, state: Live) -> list[dict[str, Any]]:
    """One item a finding, of the same shape as a plan's actions."""
    found = [item for each in state.pipelines.values() for item in _pipeline(host, each)]
    found += [
        _item("detach", path.name, "the pin belongs to no whole pipeline") for path in state.broken
    ]
    return found


def _pipeline(host: Host, pipeline: LivePipeline) -> Iterator[dict[str, Any]]:
    root = host.by_name.get(pipeline.root)
    if root is None:
        yield _item("attach", pipeline.root, "the device is gone")
    elif root.ifindex != pipeline.ifindex:
        yield _item("attach", pipeline.root, "its program was taken off or it was re-created")
    for hook in pipeline.hooks:
        if not hook.ifindex and pipeline.ifindex:
            reason = "its program was taken off or it was re-created"
            yield _item("attach", hooked_device(hook.pin) or pipeline.root, reason)
    gated = {*pipeline.backstops.values(), *_ports(pipeline)}
    for ifindex in pipeline.entries:
        link = host.by_index.get(ifindex)
        if link is None and ifindex & AWAY:
            yield _lost(host, pipeline, ifindex)
        elif link is None:
            yield _item("create", f"ifindex {ifindex}", "the device is gone")
        elif ifindex not in gated:
            yield _item("attach", link.name, "its backstop was taken off")
    yield from _switch(host, pipeline)
    aside = pipeline.switch.uplinks if pipeline.switch is not None else {}
    for slot in pipeline.by_key.values():
        if slot.ifindex in aside:
            continue  # it is the address of who is behind the device
        link = host.by_index.get(slot.ifindex)
        if (
            link is not None
            and not slot.is_tag
            and mac_number(str(link.properties["address"])) != slot.address
        ):
            change = {"from": mac_text(slot.address), "to": link.properties["address"]}
            yield _item("update", link.name, "its address was changed", {"address": change})


def _ports(pipeline: LivePipeline) -> set[int]:
    """The ports that the pipeline itself polices."""
    return {port.ifindex for port in pipeline.description.ports.values()}


def _lost(host: Host, pipeline: LivePipeline, number: int) -> dict[str, Any]:
    """A device in another namespace whose gate, which tells its number, is nowhere: whoever rules
    the namespace may have taken it off. Its address tells which one it is.
    """
    addresses = {mac_text(each.address) for each in pipeline.slots if each.ifindex == number}
    for link in host.links:
        without = link.away is not None and not link.away.gate
        if without and link.properties["address"] in addresses:
            return _item("attach", link.name, "its backstop was taken off")
    known = " ".join(sorted(addresses)) or f"number {number:x}"
    return _item("create", known, "the device, in another network namespace, is gone")


def _switch(host: Host, pipeline: LivePipeline) -> Iterator[dict[str, Any]]:
    """Devices that frames are redirected into, without all that this needs."""
    live = pipeline.switch
    if live is None:
        return
    for ifindex in live.uplinks:
        link = host.by_index.get(ifindex)
        if link is None:
            yield _item("create", f"ifindex {ifindex}", "the device is gone")
        elif ifindex not in live.standing(pipeline.description.uplink):
            yield _item("attach", link.name, "its program was taken off")
        elif live.relays.get(link.name) != ifindex:
            yield _item("attach", link.name, "its relay was taken off")
        elif live.delivered.get(ifindex) != ifindex:
            yield _item("update", link.name, "no frames are redirected into it")
    for slot in pipeline.by_key.values() if pipeline.ifindex else ():
        if slot.ifindex in live.uplinks and slot.address not in live.taken_in:
            reason = f"its NIC does not take in frames for {mac_text(slot.address)}"
            yield _item("update", pipeline.root, reason)
    if not live.is_flooding and pipeline.ifindex:
        yield _item("attach", pipeline.root, "its program for broadcasts was taken off")


def _item(
    op: str, device: str, reason: str, changes: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {"op": op, "device": device, "changes": changes or {}, "reason": reason}
