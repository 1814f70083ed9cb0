"""The command, its settings, the local stack."""
