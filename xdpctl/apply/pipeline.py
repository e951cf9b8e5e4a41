"""Performs the datapath's operations, and can take each of them back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from xdpctl.apply import roots
from xdpctl.apply.away_gates import remove_away
from xdpctl.apply.backstops import remove
from xdpctl.apply.roots import NoNativeXdpError
from xdpctl.apply.sync import Sync
from xdpctl.apply.undo import HalfDoneError, Undo
from xdpctl.bpf import pins
from xdpctl.datapath import live
from xdpctl.errors import XdpctlError
from xdpctl.host import clsact
from xdpctl.host.state import AWAY, Host
from xdpctl.plan.operation import Operation
from xdpctl.plan.pipeline_operations import FollowAddress, RestorePipeline, Sweep, SyncPipeline


class PipelinePerformer:
    """Performs the operations of plan/pipeline_operations.py; keeps what a restore needs.

    `read_host` gives the links as they are now: devices made by this run have their ifindex.
    """

    def __init__(self, topology: str, read_host: Callable[[], Host]) -> None:
        self._topology = topology
        self._read_host = read_host
        self._undo: dict[str, list[Undo]] = {}
        self._kept = ExitStack()

    def perform(self, operation: Operation) -> None:
        """Do it wholly, or raise with everything that it had written taken back; HalfDoneError
        where that was refused as well.
        """
        if isinstance(operation, SyncPipeline):
            self._sync(operation)
        elif isinstance(operation, FollowAddress):
            before = live.read(self._read_host(), self._topology).pipelines[operation.root]
            after = operation.after
            if before.mode != after.mode:
                after = after.generic()
            self._sync(SyncPipeline(operation.root, before, after.with_live_addresses(), ()))
        elif isinstance(operation, RestorePipeline):
            left = self._undo[operation.root].pop().run()
            if left:
                raise XdpctlError("\n  ".join(left))
        elif isinstance(operation, Sweep):
            for hook in (clsact.INGRESS, clsact.EGRESS):
                remove([gate for gate in operation.gates if not gate[1] & AWAY], hook)
            remove_away([gate for gate in operation.gates if gate[1] & AWAY], self._read_host())
            gone = [Path(path) for path in operation.paths]
            staying = {
                path
                for directory in {path.parent for path in gone}
                for path in pins.entries(directory)
                if path not in gone and not path.is_dir()
            }
            kept = roots.pinned_links(staying)
            for path in gone:
                roots.discard(path, kept)
                pins.remove_empty(path if path.is_dir() else path.parent)
        else:
            raise TypeError(f"not an operation of the datapath: {operation!r}")

    def close(self) -> None:
        """Give back what was kept for a restore."""
        self._kept.close()

    def _sync(self, operation: SyncPipeline) -> None:
        pins.require_bpffs()
        host = self._read_host()
        undo = Undo()
        undo.add(lambda: pins.remove_empty(pins.directory(host.netns, self._topology)))
        try:
            Sync(self._topology, host, operation, undo, self._kept).run()
        except NoNativeXdpError as error:
            _take_back(undo, error)
            assert operation.after is not None
            generic = operation.after.generic()
            self._sync(replace(operation, after=generic))
        except BaseException as error:
            _take_back(undo, error)
            raise
        else:
            self._undo.setdefault(operation.root, []).append(undo)


def _take_back(undo: Undo, cause: BaseException) -> None:
    """Undo all, or raise HalfDoneError, which says both what was refused and what is left."""
    left = undo.run()
    if left:
        raise HalfDoneError(cause, left) from cause
