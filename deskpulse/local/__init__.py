"""The local stack, for a machine with nothing: a real Kafka broker, and processes that end with their parent."""
