"""What we tell people by mail: pure messages, their delivery, and the development mailbox until SMTP is set."""
