"""The todo service: `python -m backend` serves it, `create_app` makes its ASGI application."""

__version__ = "0.1.0"
