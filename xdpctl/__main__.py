"""`python -m xdpctl`."""

from __future__ import annotations

from xdpctl.cli.main import main

if __name__ == "__main__":
    main()
