"""A stack of devices → stages → one pipeline per root; slots, counters, the backstop."""
