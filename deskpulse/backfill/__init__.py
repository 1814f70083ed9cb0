"""``deskpulse backfill``: a closed period computed anew from the archive, and moved in while the system runs."""
