"""C headers for users' own programs: `clang -I "$(python3 -m xdpctl.include)" …`."""
