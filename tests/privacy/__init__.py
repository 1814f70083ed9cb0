"""Persons' ids: replaced by pseudonyms, and forgotten."""
