"""What editing forms show, so that none of them undoes a newer change unseen."""
