"""Everything into one file and back, and the backup before an upgrade."""
