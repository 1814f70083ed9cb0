"""What to do about an error of librdkafka's that has to do with security: which setting to look at."""

from __future__ import annotations

from typing import Final

_OTHER_PROTOCOL: Final = (
    "TLS, or none, or SASL may be expected: check kafka.security.protocol and the port in kafka.bootstrap"
)
_ADVICE: Final = (
    (("ssl.ca.location failed",), "check kafka.security.ca_file"),
    (("ssl.certificate.location", "ssl.key.location"), "check kafka.security.certificate_file, key_file, key_password"),
    (
        ("certificate verify failed",),
        "the brokers' certificate is not of an authority that is trusted here, or not for the name in kafka.bootstrap: "
        "check kafka.security.ca_file",
    ),
    (("alert bad certificate", "alert certificate required", "alert number 116", "alert number 42"), "the brokers "
     "ask for a certificate that they trust: check kafka.security.certificate_file and key_file"),
    (
        ("PLAINTEXT broker listener", "wrong version number"),
        "this port speaks no TLS: check kafka.security.protocol and the port in kafka.bootstrap",
    ),
    (
        ("another security.protocol",),
        _OTHER_PROTOCOL,
    ),
    (
        ("in state SSL_HANDSHAKE",),
        "the other side ended the TLS handshake; perhaps it speaks no TLS: "
        "check kafka.security.protocol and the port in kafka.bootstrap",
    ),
    (
        # The TLS connection was made, and then ended for what was said on it.
        ("SSL connection closed by peer", "tls_retry_write_records"),
        _OTHER_PROTOCOL,
    ),
    (("SASL", "Authentication failed"), "check kafka.security.username, password and mechanism"),
    (("authorization failed", "AUTHORIZATION_FAILED"), "the user lacks a right: docs/security.md lists them"),
)  # fmt: skip


def advice_on(error: str) -> str:
    """What to check, '' of an error that is about something else."""
    for signs, advice in _ADVICE:
        if any(sign in error for sign in signs):
            return advice
    return ""
