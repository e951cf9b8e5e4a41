"""Tests on a distribution's kernel, emulated by QEMU."""
