"""The settings by which deskpulse shows who it is and knows whom it talks to; ``docs/security.md`` is their page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from deskpulse.settings_types import Section

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]{16,}")


def _fit_for_a_header(token: SecretStr | None) -> SecretStr | None:
    """An empty token would let everybody in: it is refused like a short one."""
    if token is not None and not _TOKEN.fullmatch(token.get_secret_value()):
        raise ValueError(
            "expected 16 characters or more, of A-Z, a-z, 0-9 and - . _ ~ + / = (`openssl rand -hex 32` makes one)"
        )
    return token


Token = Annotated[SecretStr | None, AfterValidator(_fit_for_a_header)]


class KafkaSecurity(Section):
    """How to show the brokers who is there."""

    protocol: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = Field(
        default="plaintext", description="Encryption and authentication towards the brokers."
    )
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="SASL mechanism; used by the two `sasl_` protocols."
    )
    username: str = Field(default="", description="SASL user.")
    password: SecretStr = Field(default=SecretStr(""), description="SASL password.")
    ca_file: Path | None = Field(
        default=None, description="PEM file of the authorities to trust; the system's where absent."
    )
    certificate_file: Path | None = Field(
        default=None, description="PEM file of the client's certificate (mutual TLS)."
    )
    key_file: Path | None = Field(default=None, description="PEM file of the client's private key.")
    key_password: SecretStr = Field(default=SecretStr(""), description="Password of the private key.")

    @model_validator(mode="after")
    def _all_of_it_is_used(self) -> Self:
        """Who gives a password or a certificate means to be protected, and is not by the default protocol."""
        _pair(self.certificate_file, self.key_file)
        if not self.protocol.endswith("ssl") and (self.ca_file or self.certificate_file):
            raise ValueError(f"protocol {self.protocol} uses no certificates; expected protocol ssl or sasl_ssl")
        if not self.protocol.startswith("sasl") and (self.username or self.password.get_secret_value()):
            raise ValueError(f"protocol {self.protocol} uses no user; expected protocol sasl_ssl or sasl_plaintext")
        return self

    def client(self) -> dict[str, str]:
        """The options of librdkafka that say the same."""
        options: dict[str, str] = {"security.protocol": self.protocol}
        if self.protocol.startswith("sasl"):
            options["sasl.mechanism"] = self.mechanism
            options["sasl.username"] = self.username
            options["sasl.password"] = self.password.get_secret_value()
        if self.protocol.endswith("ssl"):
            files = {
                "ssl.ca.location": self.ca_file,
                "ssl.certificate.location": self.certificate_file,
                "ssl.key.location": self.key_file,
            }
            options |= {name: str(path) for name, path in files.items() if path is not None}
            if self.key_password.get_secret_value():
                options["ssl.key.password"] = self.key_password.get_secret_value()
        return options


class ClickHouseTls(Section):
    """How a server of ClickHouse is known, and how to show it who is there; used with `clickhouse.secure`."""

    verify: bool = Field(
        default=True, description="Check the server's certificate and name. `false` is no protection: for trials only."
    )
    ca_file: Path | None = Field(
        default=None, description="PEM file of the authorities to trust; the public ones where absent."
    )
    certificate_file: Path | None = Field(
        default=None,
        description="PEM file of the client's certificate (mutual TLS); it alone will do where there is no password.",
    )
    key_file: Path | None = Field(default=None, description="PEM file of the client's private key.")

    @model_validator(mode="after")
    def _both_halves(self) -> Self:
        _pair(self.certificate_file, self.key_file)
        return self

    @property
    def is_default(self) -> bool:
        """Whether nothing of it is set."""
        return self == ClickHouseTls()


def _pair(certificate: Path | None, key: Path | None) -> None:
    if (certificate is None) != (key is None):
        raise ValueError("a client's certificate and its key belong together; expected certificate_file and key_file")
