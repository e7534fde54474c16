"""Services that show how one is made; nothing else imports them."""
