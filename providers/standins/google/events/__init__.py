"""Its events: what a body becomes, series, guests, video meetings."""
