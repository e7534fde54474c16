"""What our protocols offer an application in `scope["extensions"]` (ASGI 3.0)."""

# A callable (code, reason, patience in seconds) that sends a WebSocket's close frame past a full
# buffer, and drops the connection after its patience.
CLOSE_NOW = "serving.close_now"
