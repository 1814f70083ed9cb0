"""What publishes events: files and the simulator."""
