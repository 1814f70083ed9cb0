"""``python -m deskpulse`` is the command ``deskpulse``."""

from deskpulse.cli import main

main()
