"""Where settings come from: environment variables and mounted secrets, checked all at once."""
