"""All pages of staff, a folder a page. `frame` has what they share, `scope` whose things a user sees."""
