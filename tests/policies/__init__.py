"""Frames, policies, and the kernel to run them in, for the tests of policies."""
