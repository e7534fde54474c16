"""One module for each migration; each names the one before it."""
