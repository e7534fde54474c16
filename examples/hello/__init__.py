"""The smallest service on `serving/`: one route, no database."""

__version__ = "1.0.0"
