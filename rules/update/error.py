"""Why locks are not updated."""


class RefusedError(Exception):
    """Nothing was written: the text says what was expected, what came, what to do."""
