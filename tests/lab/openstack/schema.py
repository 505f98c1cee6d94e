"""schema.py SERVICE CONNECTION: a database as the newest release has it, without its history.

The models are the result of all migrations. For an empty database they are quicker, and Neutron's
migrations do not run on SQLite at all.
"""

import sys

import sqlalchemy


def neutron() -> sqlalchemy.MetaData:
    from neutron.db.migration.models import head

    return head.get_metadata()


if __name__ == "__main__":
    {"neutron": neutron}[sys.argv[1]]().create_all(sqlalchemy.create_engine(sys.argv[2]))
