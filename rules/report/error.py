"""Why a report is not written."""


class ReportError(Exception):
    """No report: the text says what was expected, what came, what to do."""
