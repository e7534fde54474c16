"""Why an image was not published."""


class PublishError(Exception):
    """Nothing more was done; the text says what was expected, what came, what to do."""
