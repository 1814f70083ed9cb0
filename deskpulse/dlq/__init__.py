"""The dead letters: looking at them without seeing anybody's data, and sending them again after a fix."""
