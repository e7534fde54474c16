"""What every service here runs on; it knows no service and no image."""
