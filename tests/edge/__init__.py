"""The edge of the service as an enemy meets it: bytes on sockets, and the service as a process."""
