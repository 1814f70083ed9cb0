"""Settings that protect: those that would not are refused, and no secret is ever shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deskpulse.exposure import exposures
from deskpulse.settings import Settings, load
from deskpulse.settings_file import SettingsError, all_fields
from tests.cli.conftest import Deskpulse

SECRET = "hunter2-hunter2-hunter2"


def written(text: str) -> Path:
    path = Path("deskpulse.toml")
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        (
            '[kafka.security]\nusername = "u"\npassword = "%s"',
            "protocol plaintext uses no user; expected protocol sasl",
        ),
        (
            '[kafka.security]\nca_file = "ca.pem"',
            "protocol plaintext uses no certificates; expected protocol ssl or sasl",
        ),
        ('[kafka.security]\nprotocol = "ssl"\ncertificate_file = "c.pem"', "expected certificate_file and key_file"),
        (
            '[kafka.security]\nprotocol = "sasl_ssl"\nusername = "u"',
            "needs a user; expected kafka.security.username and",
        ),
        ('[kafka.security]\nprotocol = "sasl_ssl"\npassword = "%s"', "needs a user; expected kafka.security.username"),
        (
            '[clickhouse]\npassword = "%s"\ntls = { ca_file = "ca.pem" }',
            "has no effect over HTTP; expected clickhouse.sec",
        ),
        ('[clickhouse]\nsecure = true\n[clickhouse.tls]\nkey_file = "k.pem"', "expected certificate_file and key_file"),
        ('[worker]\nweb_token = ""', "`worker.web_token`: expected 16 characters or more"),
        ('[worker]\nweb_token = "%s "', "`worker.web_token`: expected 16 characters or more"),
        ('[worker]\nweb_token = "%s\\r\\nX: y"', "`worker.web_token`: expected 16 characters or more"),
        ('[kafka]\nsecurity = "%s"', "`kafka.security`: should be a valid dictionary"),
        ('[kafka]\noptions = "%s"', "`kafka.options`: "),
        ('kafka = "%s"', "`kafka`: should be a valid dictionary"),
    ],
)
def test_what_would_not_protect_is_refused_and_no_secret_shown(toml: str, told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(written(toml % SECRET if "%s" in toml else toml))
    assert told in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_token_file_that_is_empty_lets_nobody_in() -> None:
    Path("token").write_text("\n")
    with pytest.raises(SettingsError, match="expected 16 characters"):
        load(written('[worker]\nweb_token_file = "token"'))


def test_every_secret_is_hidden_wherever_settings_are_shown(
    deskpulse: Deskpulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = [field for field in all_fields() if field.secret]
    assert {".".join(field.key) for field in secret} >= {
        "kafka.security.password",
        "kafka.security.key_password",
        "clickhouse.password",
        "worker.web_token",
    }
    for field in secret:
        monkeypatch.setenv(field.variable, SECRET)
    monkeypatch.setenv("DESKPULSE_KAFKA__SECURITY__PROTOCOL", "sasl_ssl")
    monkeypatch.setenv("DESKPULSE_KAFKA__SECURITY__USERNAME", "u")
    options = json.dumps({"ssl.keystore.password": SECRET, "sasl.oauthbearer.client.secret": SECRET})
    monkeypatch.setenv("DESKPULSE_KAFKA__OPTIONS", options)
    settings = load()
    assert settings.kafka.client()["sasl.password"] == SECRET
    target = settings.clickhouse.target()
    shown = [repr(settings), str(settings), repr(target), str(target), settings.model_dump_json()]
    for answer in ("text", "json"):
        ran = deskpulse("config", "--format", answer)
        assert ran.code == 0
        shown.append(ran.out + ran.err)
    with pytest.raises(ValueError, match="web_token") as refused:
        settings.changed(worker={"web_token": "hunter2"})
    shown.append(str(refused.value))
    assert [text for text in shown if "hunter2" in text] == []


def test_what_is_open_to_others_is_told() -> None:
    assert exposures(Settings()) == []
    away = Settings().changed(
        kafka={"bootstrap": "localhost:9092, kafka-1:9092"},
        clickhouse={"host": "10.0.0.8"},
        worker={"web_host": "0.0.0.0"},
    )
    assert [one.advice for one in exposures(away)] == [
        "set worker.web_token, or worker.web_host to 127.0.0.1",
        "set kafka.security.protocol to sasl_ssl or ssl",
        "set clickhouse.secure",
    ]
    user = {"username": "u", "password": SECRET}
    half = away.changed(
        worker={"web_token": SECRET},
        kafka={"security": {"protocol": "sasl_plaintext", "mechanism": "PLAIN", **user}},
        clickhouse={"secure": True, "tls": {"verify": False}},
    )
    assert [one.advice.split(",")[0] for one in exposures(half)] == [
        "set kafka.security.protocol to sasl_ssl",
        "set clickhouse.tls.verify to true",
    ]
    assert exposures(half)[0].found == "the password of Kafka's user can be read on its way to kafka-1:9092"
    whole = half.changed(kafka={"security": {"protocol": "sasl_ssl", **user}}, clickhouse={"tls": {}})
    assert exposures(whole) == []
    unchecked = whole.changed(kafka={"options": {"enable.ssl.certificate.verification": False}})
    assert "anybody in between" in exposures(unchecked)[0].found
