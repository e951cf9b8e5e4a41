"""A netlink socket: requests, of which the kernel tells how they went, batches of them, dumps.

Small and without dependencies, because reading the live state must start fast.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Self

from xdpctl.errors import KernelError, NotPermitted, XdpctlError
from xdpctl.host.attributes import index, string

NLMSGHDR = struct.Struct("=IHHII")
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLM_F_EXCL, NLM_F_CREATE, NLM_F_REPLACE = 0x200, 0x400, 0x100
NLM_F_DUMP_INTR, NLM_F_CAPPED, NLM_F_ACK_TLVS = 0x10, 0x100, 0x200
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLMSGERR_ATTR_MSG = 1
SOL_NETLINK = 270
NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK = 10, 11, 12
SO_RCVBUFFORCE = 33

BUFFER = 1 << 18
"""Bytes to receive at once; the kernel fills at most 32 KiB of a dump, more if it saw more room.
One buffer serves all: a new one for each answer is mapped, touched and unmapped by the kernel.
"""
ROOM = 4 << 20
"""Bytes of answers that may wait in a socket that asks."""
BATCH = 128
"""Messages in flight: if all are refused, that must fit into the socket's receive buffer."""
QUESTIONS = 32
"""Questions in flight: an answer takes a page of that buffer, which may be as small as usual."""
RESTARTS = 16
"""Dumps are begun anew when something changed meanwhile, but not for ever."""


def message(kind: int, flags: int, body: bytes) -> bytes:
    """A netlink message; its sequence number is set when it is sent."""
    return NLMSGHDR.pack(NLMSGHDR.size + len(body), kind, flags, 0, 0) + body


def refusal(operation: str, number: int, reason: str = "") -> XdpctlError:
    """The error for an errno of the kernel and the sentence that came with it."""
    if number == errno.EPERM:
        said = reason or os.strerror(number)
        return NotPermitted(f"{operation}: {said}", hint="run as root, or with CAP_NET_ADMIN")
    return KernelError(operation, number, reason)


class Netlink:
    """A socket of one netlink protocol in the network namespace of the thread that makes it.

    `groups` are the multicast groups that it hears, `room` the bytes that wait to be received.
    """

    def __init__(self, protocol: int, groups: int = 0, room: int = ROOM) -> None:
        self._sequence = 0
        self._buffer = memoryview(bytearray(BUFFER))
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol
        )
        for option in (NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK):
            self._option(SOL_NETLINK, option, 1)
        if not self._option(socket.SOL_SOCKET, SO_RCVBUFFORCE, room):
            self._option(socket.SOL_SOCKET, socket.SO_RCVBUF, min(room, 1 << 20))
        self._socket.bind((0, groups))

    def _option(self, level: int, option: int, value: int) -> bool:
        """Whether the kernel knows and grants the option (all of them only make it better)."""
        try:
            self._socket.setsockopt(level, option, value)
        except OSError:
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()

    def request(self, message: bytes, operation: str) -> None:
        """Sends one request and waits for the kernel's word on it.

        Raises KernelError with the kernel's own sentence, or NotPermitted.
        """
        (outcome,) = self.batch([(message, operation)])
        if outcome is not None:
            raise outcome

    def batch(self, requests: Sequence[tuple[bytes, str]]) -> list[XdpctlError | None]:
        """Sends requests many at a time; the outcome of each, in order: None or the refusal.

        The kernel performs them one after the other and goes on after one that it refuses. It tells
        of every refusal, but of a success only if asked (netlink_rcv_skb): here, of the last.
        """
        outcomes: list[XdpctlError | None] = []
        for at in range(0, len(requests), BATCH):
            outcomes += self._pipelined(requests[at : at + BATCH])
        return outcomes

    def _pipelined(self, requests: Sequence[tuple[bytes, str]]) -> list[XdpctlError | None]:
        first = self._sequence + 1
        self._send(requests, NLM_F_ACK)
        outcomes: list[XdpctlError | None] = [None] * len(requests)
        waiting = bool(requests)
        while waiting:
            for kind, flags, sequence, body in self._received("read the answers"):
                if kind == NLMSG_ERROR and first <= sequence <= self._sequence:
                    operation = requests[sequence - first][1]
                    outcomes[sequence - first] = verdict(operation, flags, body)
                    waiting = waiting and sequence != self._sequence
        return outcomes

    def ask(self, message: bytes, operation: str) -> bytes:
        """Sends one request that is answered by one message; the body of the answer."""
        self._sequence += 1
        self._socket.send(self._numbered(message, self._sequence, 0))
        while True:
            for kind, flags, sequence, body in self._received(operation):
                if sequence != self._sequence:
                    continue
                if kind != NLMSG_ERROR:
                    return body
                if (refused := verdict(operation, flags, body)) is not None:
                    raise refused

    def ask_all(self, requests: Sequence[tuple[bytes, str]]) -> list[bytes | XdpctlError]:
        """Sends requests that are answered by one message each, many at a time; in order, the body
        of each answer, or the refusal.
        """
        answers: list[bytes | XdpctlError] = []
        for at in range(0, len(requests), QUESTIONS):
            answers += self._answered(requests[at : at + QUESTIONS])
        return answers

    def _answered(self, requests: Sequence[tuple[bytes, str]]) -> list[bytes | XdpctlError]:
        first = self._sequence + 1
        self._send(requests)
        answers: dict[int, bytes | XdpctlError] = {}
        while len(answers) < len(requests):
            for kind, flags, sequence, body in self._received("read the answers"):
                place = sequence - first
                if not 0 <= place < len(requests):
                    continue
                refused = None
                if kind == NLMSG_ERROR:
                    refused = verdict(requests[place][1], flags, body)
                answers[place] = body if refused is None else refused
        return [answers[place] for place in range(len(requests))]

    def dump(self, message: bytes, operation: str) -> list[bytes]:
        """The bodies of all messages of a dump.

        One that the kernel marks as interrupted by a change (NLM_F_DUMP_INTR), or that overran
        the receive buffer (ENOBUFS), is thrown away and begun anew.
        """
        for _ in range(RESTARTS):
            self._sequence += 1
            self._socket.send(self._numbered(message, self._sequence, NLM_F_DUMP))
            try:
                bodies = self._dumped(operation)
            except KernelError as error:
                if error.errno not in {errno.ENOBUFS, errno.EINTR}:
                    raise
                bodies = None
            if bodies is not None:
                return bodies
        raise KernelError(operation, errno.EINTR, f"the host changed during {RESTARTS} attempts")

    def gather(self, message: bytes, operation: str) -> list[bytes]:
        """Sends one request that is answered by several messages (NLM_F_MULTI) although it asks for
        no dump; their bodies.
        """
        self._sequence += 1
        self._socket.send(self._numbered(message, self._sequence, 0))
        return self._dumped(operation) or []

    def _dumped(self, operation: str) -> list[bytes] | None:
        """The bodies up to the end of the dump; None if it was interrupted."""
        bodies: list[bytes] = []
        interrupted = False
        while True:
            for kind, flags, sequence, body in self._received(operation):
                if sequence != self._sequence:
                    continue
                interrupted = interrupted or bool(flags & NLM_F_DUMP_INTR)
                if kind in {NLMSG_DONE, NLMSG_ERROR}:
                    refused = verdict(operation, flags, body)
                    if refused is not None:
                        raise refused
                    return None if interrupted else bodies
                bodies.append(body)

    def _send(self, requests: Sequence[tuple[bytes, str]], last: int = 0) -> None:
        """Number requests, the next number first, and send them together; flags of the last."""
        first = self._sequence + 1
        self._sequence += len(requests)
        numbered = [
            self._numbered(one, number, last if number == self._sequence else 0)
            for number, (one, _) in enumerate(requests, first)
        ]
        for packet in packets(numbered):
            self._socket.send(packet)

    @staticmethod
    def _numbered(message: bytes, sequence: int, flags: int) -> bytes:
        size, kind, given, _, port = NLMSGHDR.unpack_from(message)
        flags |= given | NLM_F_REQUEST
        return NLMSGHDR.pack(size, kind, flags, sequence, port) + message[16:]

    def _received(self, operation: str) -> Iterator[tuple[int, int, int, bytes]]:
        """One datagram's messages: type, flags, sequence number, body."""
        try:
            end = self._socket.recv_into(self._buffer)
        except OSError as error:
            raise KernelError(operation, error.errno or errno.EIO) from None
        at = 0
        while at + 16 <= end:
            size, kind, flags, sequence, _ = NLMSGHDR.unpack_from(self._buffer, at)
            if size < 16:
                break
            yield kind, flags, sequence, bytes(self._buffer[at + 16 : min(at + size, end)])
            at += (size + 3) & ~3


def packets(messages: Sequence[bytes], limit: int = 1 << 16) -> Iterator[bytes]:
    """Messages put together into sends of at most `limit` bytes (a longer one alone)."""
    joined: list[bytes] = []
    size = 0
    for one in messages:
        padded = one + bytes(-len(one) & 3)
        if joined and size + len(padded) > limit:
            yield b"".join(joined)
            joined, size = [], 0
        joined.append(padded)
        size += len(padded)
    if joined:
        yield b"".join(joined)


def verdict(operation: str, flags: int, body: bytes) -> XdpctlError | None:
    """What an NLMSG_ERROR (struct nlmsgerr) or NLMSG_DONE says: None for success.

    The kernel's sentence stands in attributes behind the copy of the request's header, or of
    the whole request where the socket could not turn that off.
    """
    (number,) = struct.unpack_from("=i", body) if len(body) >= 4 else (0,)
    if not number:
        return None
    at = 4
    if len(body) >= 20:
        (size,) = struct.unpack_from("=I", body, 4)
        at = 20 if flags & NLM_F_CAPPED else 4 + ((size + 3) & ~3)
    said = string(index(body, at).get(NLMSGERR_ATTR_MSG)) if flags & NLM_F_ACK_TLVS else ""
    return refusal(operation, -number, said)
