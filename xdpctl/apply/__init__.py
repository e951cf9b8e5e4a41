"""Runs operations: netlink and BPF writes, journal, rollback, verify, lock."""
