"""For all tests: Ctrl-C works, in this process and in those that it starts."""

from __future__ import annotations

import signal

# A shell starts what it puts into the background with SIGINT ignored, and children inherit that:
# tests of Ctrl-C would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)
