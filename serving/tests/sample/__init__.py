"""A small service for tests: notes, on every room there is. `python -m` runs it like any other."""
