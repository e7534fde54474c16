"""The process: supervisor, server, and uvicorn's protocols within limits."""
