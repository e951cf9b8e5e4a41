"""What the compiler makes of policies, as a number: a plan needs it, and not the compiler."""

from __future__ import annotations

from typing import Final

VERSION: Final = 4
"""Counts up whenever the same policy compiles to something that behaves otherwise."""
