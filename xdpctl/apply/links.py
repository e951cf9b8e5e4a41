"""Performs operations on links: one netlink write each, pipelined where they are of one type."""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from xdpctl.apply import options
from xdpctl.apply.link_messages import (
    after,
    change_message,
    create_message,
    delete_message,
    enslave_message,
    known,
    port_message,
)
from xdpctl.apply.remembered import Remembered
from xdpctl.errors import KernelError, XdpctlError
from xdpctl.host import links, tap
from xdpctl.host.rtnl import Rtnl
from xdpctl.plan.link_operations import (
    ChangeLink,
    ChangePort,
    CreateLink,
    DeleteLink,
    EnslaveLink,
    LinkOperation,
    RestoreAddresses,
)
from xdpctl.plan.operation import Operation

BATCH = 256
"""Operations in one batch: signals are seen, and progress is shown, between two of them."""
STROKE = 1024
"""Deletions in one stroke, during which nobody else can change a device of the host."""
TAKEN = "another device has its address; a macvlan may be in another network namespace"
"""A macvlan that was moved keeps its address on the parent, where no dump shows it any more."""
MANY = 4
"""From so many deletions on they are made in one stroke: the kernel waits 10-20 ms for each."""


class LinkPerformer:
    """Performs every LinkOperation. Remembers the IP addresses of what it deletes or takes down."""

    TYPES: tuple[type[Operation], ...] = (
        CreateLink, ChangeLink, DeleteLink, EnslaveLink, ChangePort, RestoreAddresses
    )  # fmt: skip

    def __init__(self, rtnl: Rtnl) -> None:
        self._rtnl = rtnl
        self._remembered = Remembered(rtnl)
        self._messages: dict[type[Operation], Callable[..., bytes]] = {
            CreateLink: create_message,
            ChangeLink: change_message,
            DeleteLink: delete_message,
            EnslaveLink: enslave_message,
            ChangePort: port_message,
        }

    def cut(self, operations: Iterable[Operation]) -> Iterator[list[Operation]]:
        """Batches of one type, with none on what the same batch creates or changes: of two on one
        device, the second would be tried although the first was refused.
        """
        batch: list[Operation] = []
        names: set[str] = set()
        for operation in operations:
            assert isinstance(operation, LinkOperation)
            if batch and not joins(batch, names, operation):
                yield batch
                batch, names = [], set()
            batch.append(operation)
            names.add(operation.name)
        if batch:
            yield batch

    def perform(self, operation: Operation) -> None:
        """One operation."""
        (refusal,) = self.perform_all([operation])
        if refusal is not None:
            raise refusal

    def perform_all(self, operations: Sequence[Operation]) -> list[XdpctlError | None]:
        """A batch of one type."""
        first = operations[0]
        if alone(first):
            assert isinstance(first, LinkOperation)
            return [attempted(self._alone, first)]
        if isinstance(first, DeleteLink):
            doomed = [one for one in operations if isinstance(one, DeleteLink)]
            self._remembered.note([one.name for one in doomed if one.restore])
            if len(doomed) >= MANY:
                return self._delete_all(doomed)
        self._remembered.note(
            [one.name for one in operations if isinstance(one, ChangeLink) and turns(one, "down")]
        )
        outcomes = self._send([(one, self._messages[type(one)]) for one in operations])
        return [
            error or self._returned(one) for one, error in zip(operations, outcomes, strict=True)
        ]

    def _returned(self, operation: Operation) -> XdpctlError | None:
        """What went down in this run and is up again gets back what the kernel took from it."""
        if not turns(operation, "up"):
            return None
        assert isinstance(operation, ChangeLink)
        return attempted(self._restore, operation)

    def _restore(self, operation: LinkOperation) -> None:
        self._remembered.restore(operation.name, operation.summary())

    def close(self) -> None:
        """Nothing is kept open: the socket is the run's."""

    def _send(
        self, wanted: Sequence[tuple[Operation, Callable[..., bytes]]]
    ) -> list[XdpctlError | None]:
        """Write the messages in one pipeline; one that cannot be written is a refusal, too."""
        outcomes: list[XdpctlError | None] = [None] * len(wanted)
        requests: list[tuple[int, tuple[bytes, str]]] = []
        for at, (operation, writer) in enumerate(wanted):
            try:
                requests.append((at, (writer(operation), operation.summary())))
            except XdpctlError as error:
                outcomes[at] = error
        answers = self._rtnl.batch([request for _, request in requests])
        for (at, _), answer in zip(requests, answers, strict=True):
            if isinstance(answer, KernelError) and answer.errno == errno.EADDRINUSE:
                answer.hint = TAKEN
            outcomes[at] = answer
        return outcomes

    def _alone(self, operation: LinkOperation) -> None:
        """What is more than one netlink message: taps, which ioctls make, teams, and addresses."""
        if isinstance(operation, CreateLink):
            properties = operation.device.properties
            with tap.creating(operation.name, properties, operation.ifindex) as ifindex:
                born = {
                    name: value
                    for name, value in properties.items()
                    if links.born_with("tap", name) and name in links.AT_CREATION
                }
                marked = links.change(ifindex, "tap", born, group=operation.group)
                self._rtnl.request(marked, operation.summary())
        elif options.belong(operation):
            rest = options.without(operation)
            if rest is not None:
                (refusal,) = self.perform_all([rest])
                if refusal is not None:
                    raise refusal
            options.set_all(operation, self._rtnl)
        elif isinstance(operation, ChangeLink):
            before = {name: one.before for name, one in operation.changes.items()}
            tap.change(operation.name, known(before), after(operation.changes))
            (refusal,) = self._send([(without_owner(operation), change_message)])
            if refusal is not None:
                raise refusal
        else:
            self._restore(operation)

    def _delete_all(self, operations: Sequence[DeleteLink]) -> list[XdpctlError | None]:
        """All of them in one stroke, by way of a device group that nobody else is in."""
        live = {link.name: link for link in map(links.decode, self._rtnl.links())}
        names = {one.name for one in operations}
        group = links.birthmark(",".join(sorted(names)))
        if not names <= live.keys() or any(link.group == group for link in live.values()):
            return self._send([(one, delete_message) for one in operations])
        moves = [(links.change(live[one.name].ifindex, "", group=group), one.summary())
                 for one in operations]  # fmt: skip
        outcomes = self._rtnl.batch(moves)
        if not any(outcomes):
            stroke = links.delete_group(group)
            (refusal,) = self._rtnl.batch([(stroke, f"delete {len(operations)} devices")])
            if refusal is None:
                return outcomes
            outcomes = [refusal] * len(operations)
        else:
            first = next(error for error in outcomes if error is not None)
            outcomes = [error or first for error in outcomes]
        self._rtnl.batch([
            (links.change(live[name].ifindex, "", group=live[name].group), f"keep {name}")
            for name in names
        ])  # fmt: skip
        return outcomes


def joins(batch: Sequence[Operation], names: Collection[str], operation: LinkOperation) -> bool:
    """Whether the operation may be in one batch with those, which are on devices of these names."""
    first = batch[0]
    limit = STROKE if isinstance(first, DeleteLink) else BATCH
    if type(operation) is not type(first) or len(batch) >= limit:
        return False
    if alone(first) or alone(operation):
        return False
    if isinstance(operation, CreateLink):
        return operation.device.parent not in names
    return isinstance(operation, DeleteLink) or operation.name not in names


def turns(operation: Operation, state: str) -> bool:
    """Whether the operation brings a device into the state from the other."""
    if not isinstance(operation, ChangeLink):
        return False
    change = operation.changes.get("state")
    return change is not None and change.after == state and change.before != state


def attempted(
    perform: Callable[[LinkOperation], None], operation: LinkOperation
) -> XdpctlError | None:
    """The refusal of an operation, if it is refused."""
    try:
        perform(operation)
    except XdpctlError as error:
        return error
    return None


def alone(operation: Operation) -> bool:
    """Whether the operation is more than one netlink message."""
    if isinstance(operation, CreateLink):
        return operation.device.kind == "tap"
    if options.belong(operation):
        return True
    if isinstance(operation, ChangeLink):
        return operation.kind == "tap" and bool(tap.OWNERS.keys() & operation.changes.keys())
    return isinstance(operation, RestoreAddresses)


def without_owner(operation: ChangeLink) -> ChangeLink:
    """The changes of a tap that netlink makes."""
    changes = {name: one for name, one in operation.changes.items() if name not in tap.OWNERS}
    return ChangeLink(operation.name, operation.kind, changes)
