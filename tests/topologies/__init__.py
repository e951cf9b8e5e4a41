"""Topologies and what becomes of them, a folder each."""
