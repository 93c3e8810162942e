"""All pages of customers."""
