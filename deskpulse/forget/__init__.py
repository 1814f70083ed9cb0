"""Forgetting a customer: find the tickets, have them erased, delete the rows, prove it (``deskpulse forget``)."""
