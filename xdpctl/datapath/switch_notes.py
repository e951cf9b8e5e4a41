"""What a user should know of devices that frames are to be redirected into, before it is done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from xdpctl.datapath.seats import Group, Seat


def switch_notes(
    group: Group,
    found: Iterable[Seat],
    features: frozenset[str] | None,
) -> Iterator[str]:
    """Sentences; `features` are the root's XDP features (None: not known)."""
    delivered = [seat for seat in found if seat.delivered]
    stacked = [seat.device for seat in found if seat.dispatched and not seat.delivered]
    if not delivered:
        return
    root = group.root
    if stacked:
        yield (
            f"what {_several(stacked)} sends to {_several([s.device for s in delivered])} "
            f"leaves by {root.name}: a macvlan finds nobody but macvlans beside it"
        )
    for device in group.above:
        if device.deliver is not None and device.properties.get("vnet_hdr"):
            yield (
                f"{device.name}: vnet_hdr lets its reader leave checksums and segmentation to the "
                "device, which no redirected frame gets: give it csum=off,gso=off"
            )
    if features is not None and "ndo-xmit" not in features and root.kind != "veth":
        yield (
            f"what comes from devices goes out of {root.name} by XDP: if its driver takes none "
            "even with a program there, use mode: generic"
        )


def _several(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} (and {len(names) - 1} more)"
