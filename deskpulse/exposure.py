"""What the settings leave open to others on the network: told by ``deskpulse doctor``, see docs/security.md."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import NamedTuple

from deskpulse.settings import ClickHouse, Kafka, Settings, Worker


class Exposure(NamedTuple):
    """One thing that is open."""

    found: str
    advice: str


def is_loopback(host: str) -> bool:
    """Does an address or name mean this machine alone?"""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def exposures(settings: Settings) -> list[Exposure]:
    """What is open, beyond this machine; nothing of what stays on it."""
    return [*_web(settings.worker), *_kafka(settings.kafka), *_clickhouse(settings.clickhouse)]


def _web(worker: Worker) -> Iterator[Exposure]:
    if worker.web_token is None and not is_loopback(worker.web_host):
        yield Exposure(
            f"whoever reaches {worker.web_host}:{worker.web_port} reads the figures and every ticket's timeline",
            "set worker.web_token, or worker.web_host to 127.0.0.1",
        )


def _kafka(kafka: Kafka) -> Iterator[Exposure]:
    client = kafka.client()
    protocol = str(client["security.protocol"]).lower()
    elsewhere = [broker for broker in map(str.strip, kafka.bootstrap.split(",")) if not is_loopback(_host(broker))]
    if elsewhere and protocol == "plaintext":
        yield Exposure(
            f"what goes to and from Kafka at {elsewhere[0]} can be read and changed on its way",
            "set kafka.security.protocol to sasl_ssl or ssl",
        )
    if elsewhere and protocol == "sasl_plaintext":
        what = "the password of Kafka's user" if client.get("sasl.mechanism") == "PLAIN" else "what goes to Kafka"
        yield Exposure(f"{what} can be read on its way to {elsewhere[0]}", "set kafka.security.protocol to sasl_ssl")
    if protocol.endswith("ssl") and str(client.get("enable.ssl.certificate.verification", True)).lower() == "false":
        yield Exposure(
            "Kafka's brokers are not known by their certificates: anybody in between can be one",
            "take enable.ssl.certificate.verification out of kafka.options, and set kafka.security.ca_file",
        )


def _clickhouse(clickhouse: ClickHouse) -> Iterator[Exposure]:
    if clickhouse.path is not None or is_loopback(clickhouse.host):
        return
    where = f"{clickhouse.host}:{clickhouse.port}"
    if not clickhouse.secure:
        yield Exposure(f"ClickHouse's password and rows can be read on their way to {where}", "set clickhouse.secure")
    elif not clickhouse.tls.verify:
        yield Exposure(
            f"ClickHouse at {where} is not known by its certificate: anybody in between can be it",
            "set clickhouse.tls.verify to true, and clickhouse.tls.ca_file",
        )


def _host(broker: str) -> str:
    return broker.rpartition("://")[2].rpartition(":")[0] or broker
