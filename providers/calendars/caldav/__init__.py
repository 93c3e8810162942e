"""CalDAV: Apple, Fastmail, Nextcloud and others."""
