"""`lockstep serve`, `lockstep web`, `lockstep worker`."""

from __future__ import annotations

import os

import click

_host = click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
_port = click.option(
    "--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on."
)


@click.command()
@_host
@_port
@click.option(
    "--demo", is_flag=True, help="Show a made-up studio with its own calendar server, in a data folder of its own."
)
@click.option(
    "--google", is_flag=True, help="With --demo: a stand-in for Google, too, so that connecting it can be tried."
)
def serve(host: str, port: int, demo: bool, google: bool) -> None:
    """Run it all: web, worker and the embedded queue server. Ctrl-C stops every process that it started."""
    if google and not demo:
        raise click.UsageError(
            "--google goes with --demo. For the real Google set GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET."
        )
    what = (
        "a made-up studio: its web server, worker and calendar server"
        if demo
        else "web server, worker and queue server"
    )
    click.echo(f"Starting {what}. This takes some seconds …")
    from portal.process import serve as serving

    options = serving.Options(host, port, retry=_retry(demo, google))
    if demo:
        from portal.demo.run import serve_demo

        serve_demo(options, with_google=google)
    else:
        serving.serve(options)


def _retry(demo: bool, google: bool) -> str:
    """What somebody writes to start the same on another port: for who called `make`, a `make` again."""
    if "MAKELEVEL" not in os.environ:
        return "--port {port}"
    return f"make {'demo' if demo else 'serve'}{' GOOGLE=1' if google else ''} PORT={{port}}"


@click.command()
@_host
@_port
def web(host: str, port: int) -> None:
    """Run the web server alone, for those who start each process themselves. Needs REDIS_URL to wake the worker at once."""
    from portal.app import create_app
    from portal.extensions import db
    from portal.process.web_server import listen, run_web
    from portal.upkeep.adoption import settle
    from portal.upkeep.fitness import require_fit

    app = create_app()
    with app.app_context():
        require_fit()
        not_adopted = settle().sentence
        db.engine.dispose()
    if not_adopted:
        click.echo(not_adopted, err=True)
    run_web(app, listen(host, port))


@click.command()
def worker() -> None:
    """Run the worker alone: it reads calendars, writes bookings into them, and sends mails."""
    from portal.worker import run as process

    process.main()
