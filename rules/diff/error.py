"""What is wrong with an image that was asked about, for the person who asked."""


class UnreadableError(Exception):
    """An image cannot be read; the text says which, what was expected, and what came."""
