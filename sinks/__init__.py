"""Where figures go: ClickHouse and Prometheus."""
