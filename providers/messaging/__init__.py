"""What carries a message to a person: SMTP, or files while no mail server is set. The contract is `base`."""
