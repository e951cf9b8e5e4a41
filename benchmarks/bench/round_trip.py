"""Both ends of round trips of one byte over TCP: round_trip.py ADDRESS PORT [COUNT].

Without a count it answers, until it is ended; with one it asks so often, and prints how many round
trips that makes a second.
"""

from __future__ import annotations

import socket
import sys
import time

_WARM = 100


def answer(address: str, port: int) -> None:
    """Send back what comes, one connection after another."""
    with socket.create_server((address, port)) as listening:
        while True:
            connection, _ = listening.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while heard := connection.recv(1):
                    connection.sendall(heard)


def ask(address: str, port: int, count: int) -> float:
    """Round trips a second."""
    with socket.create_connection((address, port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(None)
        start = 0.0
        for number in range(_WARM + count):
            if number == _WARM:
                start = time.perf_counter()
            connection.sendall(b"?")
            if connection.recv(1) != b"?":
                raise SystemExit(f"{address} has closed the connection")
        return count / (time.perf_counter() - start)


if __name__ == "__main__":
    where, at = sys.argv[1], int(sys.argv[2])
    if len(sys.argv) > 3:
        print(ask(where, at, int(sys.argv[3])))
    else:
        answer(where, at)
