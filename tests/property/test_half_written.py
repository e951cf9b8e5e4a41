"""A run that was killed while it moved keys of the dispatcher: the next one loses none of them."""

from __future__ import annotations

from copy import deepcopy
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from xdpctl.datapath import hashing
from xdpctl.datapath.layout import NO_BRIDGE, Slot
from xdpctl.datapath.loaded import LivePipeline
from xdpctl.datapath.places import Place, moved


def slot(position: int, key: int) -> Slot:
    return Slot(position, key, 1, 64, key & 0xFFFF, 0, NO_BRIDGE)


def loaded(table: hashing.Table, *, stale: dict[int, int]) -> dict[int, Slot]:
    """What is read of this table, with the keys that stand at other places as well, by those."""
    filled = {table.slot(key): key for key in table.slots.values()} | stale
    live: Any = SimpleNamespace(
        description=SimpleNamespace(shape=table.shape),
        slots=tuple(slot(position, key) for position, key in sorted(filled.items())),
        displacements=tuple(
            table.displacements.get(bucket, 0) for bucket in range(1 << table.shape.bucket_bits)
        ),
    )
    found: dict[int, Slot] = LivePipeline.by_key.func(live)  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("seed", range(40))
def test_every_key_is_found_afterwards(seed: int) -> None:
    random = Random(seed)
    keys = random.sample(range(1 << 48), random.randint(3, 60))
    table = hashing.build(sorted(keys))
    coming = random.sample(range(1 << 48), 40)
    met = 0
    for key in coming:
        other = deepcopy(table)
        if other.place(key) is None:
            continue
        group = other.members[table.shape.bucket(key)]
        stale = {other.slot(one): one for one in group if other.slot(one) not in table.slots}
        met += other.displacements != table.displacements
        before = loaded(table, stale=stale)  # killed between the places and the displacement
        assert before.keys() - {key} == set(keys)
        for wanted in ([*keys, key], keys, [key, *keys[1:]]):
            after = moved(table.shape, table.displacements, before, dict.fromkeys(wanted, Place()))
            if after is not None:
                assert len({after.slot(one) for one in wanted}) == len(wanted)
    assert met
