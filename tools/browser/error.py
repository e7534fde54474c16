"""Why a browser shows nothing."""


class BrowserError(Exception):
    """The browser did not start, did not answer, or refused; the text has what it said."""
