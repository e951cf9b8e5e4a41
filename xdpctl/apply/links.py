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
    ifindex,
    known,
    port_message,
)
from xdpctl.apply.opened import Opened
from xdpctl.apply.remembered import Remembered
from xdpctl.errors import KernelError, MissingError, XdpctlError
from xdpctl.host import links, netns, tap
from xdpctl.host.rtnl import Rtnl
from xdpctl.plan.link_operations import (
    ChangeLink,
    ChangePort,
    CreateLink,
    DeleteLink,
    EnslaveLink,
    LinkOperation,
    MoveLink,
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
        CreateLink, ChangeLink, DeleteLink, MoveLink, EnslaveLink, ChangePort, RestoreAddresses
    )  # fmt: skip

    def __init__(self, rtnl: Rtnl) -> None:
        self._rtnl = rtnl
        self._remembered = Remembered()
        self._opened = Opened()
        self._messages: dict[type[Operation], Callable[..., bytes]] = {
            CreateLink: self._create_message,
            MoveLink: self._move_message,
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
        """A batch of one type, of devices in one network namespace."""
        place = sending_place(operations[0])
        if not place:
            return self._perform_all(operations)
        own = self._rtnl
        try:
            with self._opened.home(), netns.entered(place), Rtnl() as self._rtnl:
                return self._perform_all(operations)
        except MissingError as error:  # the namespace went a moment ago
            return [error] * len(operations)
        finally:
            self._rtnl = own

    def _perform_all(self, operations: Sequence[Operation]) -> list[XdpctlError | None]:
        first = operations[0]
        assert isinstance(first, LinkOperation)
        if alone(first):
            return [attempted(self._alone, first)]
        if isinstance(first, DeleteLink):
            doomed = [one for one in operations if isinstance(one, DeleteLink)]
            self._note([one.name for one in doomed if one.restore], first.netns)
            if len(doomed) >= MANY:
                return self._delete_all(doomed)
        going = [one for one in operations if isinstance(one, LinkOperation) and takes_down(one)]
        self._note([one.name for one in going], first.netns)
        with self._opened:
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
        name, place = operation.name, operation.netns
        self._remembered.restore(name, place, operation.summary(), self._rtnl)

    def _note(self, names: Sequence[str], place: str) -> None:
        self._remembered.note(names, place, self._rtnl)

    def _create_message(self, operation: CreateLink) -> bytes:
        other = operation.netns and not sending_place(operation)
        return create_message(operation, self._opened.of(operation.netns) if other else None)

    def _move_message(self, operation: MoveLink) -> bytes:
        return links.move(
            ifindex(operation.name, operation), self._opened.of(operation.after), operation.ifindex
        )

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
            if isinstance(answer, KernelError):
                answer.hint = answer.hint or advice(wanted[at][0], answer.errno)
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
    if sending_place(operation) != sending_place(first):
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


def takes_down(operation: Operation) -> bool:
    """Whether a device loses addresses by it that it may get back."""
    return isinstance(operation, MoveLink) or turns(operation, "down")


def sending_place(operation: Operation) -> str:
    """The namespace that an operation's message is sent in ("": the topology's own).

    A device is made from where it stands on what it stands on; a tap where it is opened.
    """
    assert isinstance(operation, LinkOperation)
    if isinstance(operation, CreateLink) and operation.device.kind != "tap":
        return operation.below
    return operation.netns


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


def advice(operation: Operation, number: int) -> str | None:
    """What a refusal most likely means, where the kernel's own words do not tell."""
    if number == errno.EADDRINUSE:
        return TAKEN
    if number == errno.EOPNOTSUPP and isinstance(operation, CreateLink):
        wanted = operation.device
        said = f"this kernel makes no {wanted.kind}, or not with these properties"
        return f"{wanted.location}: {said}"
    return None
