"""`python -m providers.standins.google --port N`: the stand-in for Google, on this machine only, until it is ended."""

from __future__ import annotations

import click
from werkzeug.serving import WSGIRequestHandler, make_server

from providers.standins.google import seed
from providers.standins.google.app import make_app
from providers.standins.google.model import World


class Handler(WSGIRequestHandler):
    """Keeps connections open, sends small answers at once, and writes no line per request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """The stand-in keeps a log of its own."""


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--client-id", default="demo.apps.googleusercontent.com", show_default=True)
@click.option("--client-secret", default="demo-secret", show_default=True)
@click.option(
    "--redirect-uri", multiple=True, help="Entered for the client; without any, all of this machine are good."
)
@click.option("--seed", "seed_name", type=click.Choice(["demo"]), help="Begin with accounts and a fortnight of events.")
@click.option("--zone", default="Europe/Madrid", show_default=True, help="Of the accounts of the demo.")
def main(
    port: int, client_id: str, client_secret: str, redirect_uri: tuple[str, ...], seed_name: str | None, zone: str
) -> None:
    """A stand-in for Google: sign-in and Calendar API. It keeps everything in memory."""
    world = World(f"http://127.0.0.1:{port}", client_id, client_secret, set(redirect_uri))
    app, _ = make_app(world)
    if seed_name == "demo":
        seed.demo(world, zone)
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=Handler)
    server.daemon_threads = True  # type: ignore[attr-defined]
    click.echo(f"A stand-in for Google on {world.url}/")
    server.serve_forever()


if __name__ == "__main__":
    main()
