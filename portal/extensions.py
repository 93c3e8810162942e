"""What is bound to the app in `portal.app`: the Flask extensions, made once, and what each app has of its own: its settings and its sealer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import current_app
from flask_babel import Babel
from flask_compress import Compress
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_login import LoginManager
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase

if TYPE_CHECKING:
    from portal.config import Settings
    from portal.security import Sealer


class Base(DeclarativeBase):
    """Base of all tables. Constraint names are fixed, so that migrations can name them on both databases."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


db = SQLAlchemy(model_class=Base, disable_autonaming=True)
# mypy cannot follow `class X(db.Model)`; at run time this is the same class.
if TYPE_CHECKING:
    Model = Base
else:
    Model = db.Model

csrf = CSRFProtect()
login_manager = LoginManager()
limiter = Limiter(key_func=get_remote_address, headers_enabled=False)
babel = Babel()
compress = Compress()


def current_settings() -> Settings:
    """The settings of the app whose context is pushed."""
    found: Settings = current_app.extensions["settings"]
    return found


def current_sealer() -> Sealer:
    """What seals and opens the secrets of the app whose context is pushed."""
    found: Sealer = current_app.extensions["sealer"]
    return found
