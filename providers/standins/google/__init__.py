"""A stand-in for Google: its sign-in and its Calendar API, in a process of its own, for tests, benchmarks and the demo.

`python -m providers.standins.google --port N` runs it; tests use `tests.support.google_server.GoogleServer`. It is the portal's oracle for how
Google behaves, so what is documented or was seen of the real one counts, and every body that goes in or out is checked against Google's own
discovery document.
"""
