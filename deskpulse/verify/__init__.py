"""``deskpulse verify``: what a running system holds, compared with what its raw archive says."""
