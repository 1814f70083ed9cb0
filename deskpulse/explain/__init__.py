"""Explaining a ticket: its facts as a document, and its history as a timeline that says why each clock ran or did not.

Everything comes from the facts, the story and the instances that the domain derived; nothing is measured here again.
"""
