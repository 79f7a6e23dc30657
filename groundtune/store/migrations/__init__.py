"""Ordered changes of the database's shape; each file is one Alembic revision and is never edited after a release."""
