"""The background work: loops, jobs and the periodic table, doing one outbox entry, the worker's watch over its clock."""
