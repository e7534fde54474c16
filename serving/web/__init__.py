"""What lies around the routes of a service: gate, problem details, API keys, documentation."""
