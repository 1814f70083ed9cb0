"""The contracts: what is generated from them, and what is told of records that break them."""
