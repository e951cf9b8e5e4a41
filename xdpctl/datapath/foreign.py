"""Whose XDP program is on a device: for the message that says why it is in the way."""

from __future__ import annotations

from xdpctl.bpf import links, maps, program
from xdpctl.datapath.description import Description
from xdpctl.datapath.layout import INDEX, META
from xdpctl.host.state import Link


def attachment(link: Link) -> str:
    """The program on a device in words: name, id, how it is attached, and our topology if it is.

    "" where there is none. Looks through the links of the whole machine: for errors only.
    """
    if link.xdp is None:
        return ""
    number = link.xdp.program_id
    with program.open_id(number) as loaded:
        name, topology = loaded.info.name or "a program without a name", _topology(loaded)
    return f"{name} (id {number}), {topology}attached {_how(link.ifindex, number)}"


def _topology(loaded: program.Program) -> str:
    """`of topology X, ` where it is a pipeline of ours."""
    opened = maps.open_named(loaded.info.map_ids)
    try:
        if META not in opened:
            return ""
        described = Description.decode(opened[META].lookup(INDEX.pack(0)) or b"")
    except ValueError:
        return "of another version of xdpctl, "
    else:
        return f"of topology {described.topology}, "
    finally:
        for each in opened.values():
            each.close()


def _how(ifindex: int, program_id: int) -> str:
    """Links do not tell their namespace: of several with this ifindex, one is the device's."""
    found = list(links.on(ifindex, program_id))
    return f"by bpf_link {' or '.join(map(str, found))}" if found else "over netlink"
