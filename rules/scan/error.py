"""Why a scan cannot say anything."""


class ScanError(Exception):
    """No result: the text says what was expected, what came, what to do."""
