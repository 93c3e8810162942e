from flask import Blueprint

from portal.accounts.models import User
from portal.extensions import db, login_manager

bp = Blueprint("accounts", __name__)


@login_manager.user_loader
def load_user(session_id: str) -> User | None:
    """The user of a session cookie, unless all of the user's sessions were ended meanwhile."""
    user_id, _, epoch = session_id.partition(".")
    user = db.session.get(User, int(user_id)) if user_id.isdigit() else None
    return user if user and user.is_enabled and str(user.session_epoch) == epoch else None
