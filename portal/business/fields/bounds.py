"""The bounds that others than readers of fields go by, too; without the library. Pure."""

MOST_DAYS_KEPT = 3650
"""Days after their appointment for which customers' data is kept, unless it is kept until somebody erases it."""
MOST_SEATS = 500
MOST_QUESTIONS = 50
MOST_LISTS = 20
"""Of resources: the main one, and those of which one is needed as well. All of a service together, in any script, is a form that the web
server takes (`LARGEST_BODY`)."""
