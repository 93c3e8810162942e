"""The ground that everything stands on: both databases are migrated, and a business can be written."""

from sqlalchemy import select

from portal.business.models import Service
from portal.extensions import db
from tests.factories import make_resource, make_service


def test_a_service_is_stored_with_its_resources(app):
    ana, ben = make_resource(), make_resource()
    make_service([ana, ben], slug="consultation")
    db.session.expire_all()
    service = db.session.scalars(select(Service)).one()
    assert [need.resource_id for need in service.needs] == [ana.id, ben.id]
