"""What all pages share: htmx, headers, error pages, the reader's language, who may see what."""
