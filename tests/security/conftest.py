"""The command in this process, without the settings of this machine."""

from __future__ import annotations

from tests.cli.conftest import deskpulse, no_settings_of_this_machine

__all__ = ["deskpulse", "no_settings_of_this_machine"]
