"""Builds the web application: settings -> extensions -> blueprints -> error pages -> commands."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from portal import logs
from portal.config import Settings, load_settings
from portal.database.engine import set_up_engine
from portal.extensions import compress, csrf, db, limiter, login_manager
from portal.security import load_sealer, load_secret_key
from portal.upkeep.private_files import make_private
from portal.web import addresses, error_pages, headers, hypermedia, rate_limits, reader_language, site, static_files
from portal.web.shown import versions

ROOT = Path(__file__).resolve().parent.parent

PAGES = (
    "portal.api.health",
    "portal.web.reader_language",
    "portal.admin.sign_in",
    "portal.admin.home.routes",
    "portal.admin.bookings.routes",
    "portal.admin.questions.routes",
    "portal.admin.dates.appointment",
    "portal.admin.customers",
    "portal.admin.dates.routes",
    "portal.admin.instance",
    "portal.admin.mails.routes",
    "portal.admin.people.routes",
    "portal.admin.services.routes",
    "portal.admin.mails.texts",
    "portal.admin.people.tokens",
    "portal.admin.questions.unknown",
    "portal.admin.waitlist.routes",
    "portal.admin.integrations.routes",
    "portal.admin.integrations.disconnect",
    "portal.admin.mails.mailbox_routes",
    "portal.public.stop",
    "portal.api.routes",
    "portal.public.manage",
    "portal.public.waitlist.routes",
    "portal.public.booking.routes",
    "portal.public.mine.routes",
)
"""Modules with routes, each for its blueprint `bp`, which some of them share."""
OF_PROVIDERS = ("portal.admin.integrations.consent", "portal.hooks.push")
"""Modules that make their `blueprints` by what the records of providers say."""
FORMS = (
    "portal.admin.shown",
    "portal.web.shown.bookings",
    "portal.web.shown.calendars",
    "portal.web.shown.waitlist",
)
"""They say what the editing forms show (`portal.web.shown.versions`)."""
MODELS = (
    "portal.accounts.models",
    "portal.booking.models",
    "portal.business.models",
    "portal.calendars.models",
    "portal.customers.models",
    "portal.instance.models",
    "portal.notifications.models",
    "portal.outbox",
    "portal.sync.models",
)


def create_app(settings: Settings | None = None) -> Flask:
    """A ready application; `app.extensions["settings"]` and `["sealer"]` hold what is not Flask's."""
    settings = settings or load_settings()
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    instance_path = str(settings.data.absolute())
    app = Flask(
        "portal", root_path=str(ROOT), instance_path=instance_path, template_folder="templates", static_folder=None
    )
    app.config.update(_flask_config(settings))
    addresses.init_app(app)
    app.extensions["settings"] = settings
    make_private(settings)
    app.extensions["sealer"] = load_sealer(settings)
    _init_extensions(app)
    for blueprint in dict.fromkeys(import_module(name).bp for name in PAGES):
        app.register_blueprint(blueprint)
    for blueprint in [made for name in OF_PROVIDERS for made in import_module(name).blueprints()]:
        app.register_blueprint(blueprint)
    for name in FORMS:
        import_module(name)
    versions.init_app(app)
    if settings.trusted_proxies:
        count = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)  # type: ignore[method-assign]
    return app


def _flask_config(settings: Settings) -> dict[str, object]:
    return {
        "SECRET_KEY": load_secret_key(settings),
        "SQLALCHEMY_DATABASE_URI": settings.database_url,
        "SQLALCHEMY_ENGINE_OPTIONS": {"hide_parameters": True},  # names, addresses and tokens do not belong into a log
        "SESSION_COOKIE_NAME": "__Host-lockstep" if settings.is_https else "lockstep",
        "SESSION_COOKIE_SECURE": settings.is_https,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "PERMANENT_SESSION_LIFETIME": 14 * 24 * 3600,
        "MAX_CONTENT_LENGTH": 256 * 1024,
        "MAX_FORM_PARTS": 200,
        "WTF_CSRF_TIME_LIMIT": None,
        "WTF_CSRF_SSL_STRICT": False,
        "BUDGETS": True,  # of visitors (portal.booking.strangers.budgets); tests of other things switch them off
        "COMPRESS_REGISTER": False,  # only views that ask for it: compressing secrets beside typed text leaks them (BREACH)
        "TEMPLATES_AUTO_RELOAD": False,
        **rate_limits.flask_config(settings),
    }


def _init_extensions(app: Flask) -> None:
    for name in MODELS:
        import_module(name)
    db.init_app(app)
    with app.app_context():
        set_up_engine(db.engine)
    reader_language.init_app(app)  # first: whatever refuses a request after it says so in the right language
    csrf.init_app(app)
    limiter.init_app(app)
    login_manager.init_app(app)
    logs.init_app(app)
    hypermedia.init_app(app)
    headers.init_app(app)
    error_pages.init_app(app)
    compress.init_app(app)
    site.init_app(app)
    static_files.init_app(app)
