"""A real broker that speaks TLS, knows its users and gives each only the rights it was given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from deskpulse.local.kafka import LocalKafka, free_port
from tests.security.certificates import Authority
from tests.security.written import kafka_rights

USER, PASSWORD = "deskpulse", "p%ss-w0rd-of-the-tests"
STRANGER = "stranger"
_JAAS = "org.apache.kafka.common.security"


@dataclass(frozen=True)
class Secured:
    """Where it is, and what its clients need. ``plain`` is for the test alone: who comes there may do everything."""

    plain: str
    sasl_ssl: str
    ssl: str
    ca_file: Path
    other_ca_file: Path
    certificate_file: Path
    key_file: Path

    def environment(self, **security: object) -> dict[str, str]:
        """Settings of a worker that may come in; ``security`` has others for ``[kafka.security]``."""
        there = {"protocol": "sasl_ssl", "username": USER, "password": PASSWORD, "ca_file": self.ca_file, **security}
        named = {f"DESKPULSE_KAFKA__SECURITY__{key.upper()}": str(value) for key, value in there.items() if value}
        return {"DESKPULSE_KAFKA__BOOTSTRAP": self.sasl_ssl, **named}


@contextmanager
def secured_broker(folder: Path) -> Iterator[Secured]:
    ours, others = Authority(folder / "ours"), Authority(folder / "others")
    certificate, key = ours.issue("127.0.0.1", common_name="broker")
    client_certificate, client_key = ours.issue("client.example", common_name=USER)
    keystore = folder / "broker.pem"
    keystore.write_bytes(key.read_bytes() + certificate.read_bytes())
    ports = {"SASL_SSL": free_port(), "SSL": free_port()}
    settings = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(keystore),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(ours.ca_file),
        "listener.name.ssl.ssl.client.auth": "required",
        "ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f"{_JAAS}.scram.ScramLoginModule required;",
        "listener.name.sasl_ssl.plain.sasl.jaas.config": (
            f'{_JAAS}.plain.PlainLoginModule required user_{USER}="{PASSWORD}" user_{STRANGER}="{PASSWORD}";'
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    users = {USER: PASSWORD}
    with LocalKafka(settings=settings, more_listeners=ports, scram_users=users) as broker:
        give_rights(broker.bootstrap)
        at = {protocol: f"127.0.0.1:{port}" for protocol, port in ports.items()}
        yield Secured(
            broker.bootstrap,
            at["SASL_SSL"],
            at["SSL"],
            ours.ca_file,
            others.ca_file,
            client_certificate,
            client_key,
        )


KINDS = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional-id": ResourceType.TRANSACTIONAL_ID,
}
OPERATIONS = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Create": AclOperation.CREATE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
}


def give_rights(plain: str) -> None:
    """The least that docs/security.md says deskpulse's user needs."""
    admin = AdminClient({"bootstrap.servers": plain})
    bindings = [
        AclBinding(
            KINDS[kind],
            name,
            ResourcePatternType.PREFIXED,
            f"User:{USER}",
            "*",
            OPERATIONS[operation],
            AclPermissionType.ALLOW,
        )
        for kind, name, operation in kafka_rights()
    ]
    for made in admin.create_acls(bindings).values():
        made.result(20)
