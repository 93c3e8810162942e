from flask import Blueprint

bp = Blueprint("booking", __name__)


@bp.get("/")
def services() -> str:
    from flask import render_template

    return render_template("error.html", status=404, sentence="soon")
