"""What those see who run a service: health, metrics, logs."""
