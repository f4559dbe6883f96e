"""The history of our tables, as an Alembic environment that ships with the package."""
