"""What holds kernel objects open, and lets go of them when it is left or collected."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class Closing:
    """Closed by `close`, at the end of a `with`, or when collected: whichever comes first."""

    __slots__ = ()

    def close(self) -> None:
        """Let go; a second call does nothing."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
