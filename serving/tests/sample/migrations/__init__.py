"""The sample service's migrations."""
