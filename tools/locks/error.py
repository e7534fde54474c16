"""The one exception whose text is written for the person at the terminal."""


class LockError(Exception):
    """A lock, or the machine's own configuration, that the person can mend; the text says how."""
