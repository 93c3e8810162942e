"""Its pages for people: signing in, consent, a calendar to work in."""
