"""The netlink socket's behaviour, against a kernel made of prepared datagrams."""

from __future__ import annotations

import errno
import socket
import struct

import pytest

from xdpctl.errors import KernelError, NotPermitted
from xdpctl.host.attributes import attribute
from xdpctl.host.netlink import (
    NLM_F_ACK,
    NLM_F_ACK_TLVS,
    NLM_F_CAPPED,
    NLM_F_DUMP_INTR,
    NLMSG_DONE,
    NLMSG_ERROR,
    RESTARTS,
    Netlink,
    message,
    packets,
)  # fmt: skip


class Kernel:
    """Answers each send with the next of its prepared answers."""

    def __init__(self, *answers: list[bytes] | OSError) -> None:
        self.answers = list(answers)
        self.sent: list[bytes] = []
        self.waiting: list[bytes | OSError] = []

    def send(self, data: bytes) -> None:
        self.sent.append(data)
        if self.answers:
            answer = self.answers.pop(0)
            self.waiting += [answer] if isinstance(answer, OSError) else answer

    def recv_into(self, buffer: memoryview) -> int:
        one = self.waiting.pop(0)
        if isinstance(one, OSError):
            raise one
        buffer[: len(one)] = one
        return len(one)

    def close(self) -> None:
        self.waiting.clear()


def talking_to(kernel: Kernel) -> Netlink:
    netlink = Netlink(socket.NETLINK_ROUTE)
    netlink.close()
    netlink._socket = kernel  # type: ignore[assignment]
    return netlink


def said(kind: int, sequence: int, body: bytes = b"", flags: int = 0) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, 0) + body


def ack(sequence: int, number: int = 0, sentence: str = "") -> bytes:
    body = struct.pack("=i", -number) + bytes(16)
    if not sentence:
        return said(NLMSG_ERROR, sequence, body, NLM_F_CAPPED)
    body += attribute(1, sentence.encode() + b"\0")
    return said(NLMSG_ERROR, sequence, body, NLM_F_CAPPED | NLM_F_ACK_TLVS)


REQUEST = message(16, 0, b"body")


def test_the_kernels_own_sentence_is_the_error() -> None:
    netlink = talking_to(Kernel([ack(1, errno.EINVAL, "Invalid mode")]))
    with pytest.raises(KernelError, match=r"^create x: Invalid mode$") as caught:
        netlink.request(REQUEST, "create x")
    assert caught.value.errno == errno.EINVAL


def test_without_a_sentence_the_number_speaks() -> None:
    netlink = talking_to(Kernel([ack(1, errno.EBUSY)]))
    with pytest.raises(KernelError, match="create x: Device or resource busy"):
        netlink.request(REQUEST, "create x")


def test_the_sentence_stands_behind_the_whole_request_where_the_kernel_sends_it_back() -> None:
    copy = struct.pack("=IHHII", 21, 16, 5, 1, 0) + b"abcde" + bytes(3)
    body = struct.pack("=i", -errno.EINVAL) + copy + attribute(1, b"Too far\0")
    netlink = talking_to(Kernel([said(NLMSG_ERROR, 1, body, NLM_F_ACK_TLVS)]))
    with pytest.raises(KernelError, match="Too far"):
        netlink.request(REQUEST, "create x")


def test_not_permitted_is_an_error_of_its_own() -> None:
    with pytest.raises(NotPermitted, match="create x: Operation not permitted"):
        talking_to(Kernel([ack(1, errno.EPERM)])).request(REQUEST, "create x")


def test_a_batch_tells_the_outcome_of_each() -> None:
    answers = ack(1) + ack(2, errno.EEXIST) + ack(3)
    kernel = Kernel([answers])
    outcomes = talking_to(kernel).batch([(REQUEST, "a"), (REQUEST, "b"), (REQUEST, "c")])
    assert [outcome and str(outcome) for outcome in outcomes] == [None, "b: File exists", None]
    assert len(kernel.sent) == 1


def test_of_successes_only_the_last_is_asked_for() -> None:
    kernel = Kernel([ack(2, errno.EEXIST), ack(3)])
    outcomes = talking_to(kernel).batch([(REQUEST, "a"), (REQUEST, "b"), (REQUEST, "c")])
    assert [outcome and str(outcome) for outcome in outcomes] == [None, "b: File exists", None]
    (sent,) = kernel.sent
    flags = [struct.unpack_from("=H", sent, at + 6)[0] for at in range(0, len(sent), len(REQUEST))]
    assert [bool(each & NLM_F_ACK) for each in flags] == [False, False, True]


def test_an_answer_to_something_else_is_not_taken_for_ours() -> None:
    kernel = Kernel([ack(77, errno.EINVAL), ack(1)])
    assert talking_to(kernel).batch([(REQUEST, "a")]) == [None]


def test_a_dump_that_was_interrupted_is_begun_anew() -> None:
    torn = [said(16, 1, b"old!", NLM_F_DUMP_INTR), said(NLMSG_DONE, 1, bytes(4))]
    whole = [said(16, 2, b"new1") + said(16, 2, b"new2"), said(NLMSG_DONE, 2, bytes(4))]
    assert talking_to(Kernel(torn, whole)).dump(REQUEST, "list") == [b"new1", b"new2"]


def test_a_dump_whose_end_says_interrupted_is_begun_anew() -> None:
    torn = [said(16, 1, b"old!"), said(NLMSG_DONE, 1, bytes(4), NLM_F_DUMP_INTR)]
    whole = [said(16, 2, b"new!"), said(NLMSG_DONE, 2, bytes(4))]
    assert talking_to(Kernel(torn, whole)).dump(REQUEST, "list") == [b"new!"]


def test_an_overrun_is_begun_anew_and_its_rest_is_not_mixed_in() -> None:
    kernel = Kernel(OSError(errno.ENOBUFS, ""), [said(16, 1, b"old!"), said(16, 2, b"new!"),
                                                 said(NLMSG_DONE, 2, bytes(4))])  # fmt: skip
    assert talking_to(kernel).dump(REQUEST, "list") == [b"new!"]


def test_a_host_that_never_rests_is_given_up() -> None:
    torn = [[said(NLMSG_DONE, place + 1, bytes(4), NLM_F_DUMP_INTR)] for place in range(RESTARTS)]
    with pytest.raises(KernelError, match="the host changed during"):
        talking_to(Kernel(*torn)).dump(REQUEST, "list")


def test_an_error_in_a_dump_is_raised() -> None:
    kernel = Kernel([said(NLMSG_DONE, 1, struct.pack("=i", -errno.EOPNOTSUPP))])
    with pytest.raises(KernelError, match="not supported"):
        talking_to(kernel).dump(REQUEST, "list")


def test_messages_are_put_together_up_to_a_limit() -> None:
    joined = list(packets([b"a" * 6, b"b" * 8, b"c" * 20, b"d"], 16))
    assert joined == [b"a" * 6 + b"\0\0" + b"b" * 8, b"c" * 20, b"d\0\0\0"]
