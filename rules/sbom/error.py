"""What a person can mend about an inventory."""


class SbomError(Exception):
    """An image cannot be described; the text says what was expected, what came, what to do."""
