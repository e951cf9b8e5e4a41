"""What keeps a virtual machine from being started at all."""


class UnavailableError(Exception):
    """The sentence says what is missing and what to install."""
