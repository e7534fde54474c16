"""The one exception whose text is written for the person at the terminal."""


class WheelError(Exception):
    """Something the person can mend; the text says what was expected, what came and what to do."""
