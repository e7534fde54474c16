"""What an AI service proposes for todos."""
