"""The contracts: what comes in, what goes out, and the JSON Schema and AsyncAPI made from them."""
