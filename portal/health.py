"""Operations: `/healthz` (alive), `/readyz` (database, worker heartbeat, outbox age) and `/metrics` (Prometheus)."""

from flask import Blueprint

bp = Blueprint("health", __name__)
