"""A load bench that runs one service at a time on CPUs of its own."""
