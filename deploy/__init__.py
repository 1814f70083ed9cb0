"""Migrations, rules and dashboards, as data of the package."""
