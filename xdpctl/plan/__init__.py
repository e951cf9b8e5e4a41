"""Topology × host → ordered operations, as data. No input or output in here."""
