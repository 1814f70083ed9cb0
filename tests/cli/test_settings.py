from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deskpulse.durations import format_duration, parse_duration
from deskpulse.settings import Settings, load
from deskpulse.settings_file import SettingsError, line_of
from tests.cli.conftest import Deskpulse


def written(text: str, name: str = "deskpulse.toml") -> Path:
    path = Path(name)
    path.write_text(text)
    return path


def refused(path: Path | None = None) -> str:
    with pytest.raises(SettingsError) as error:
        load(path)
    return str(error.value)


def test_everything_has_a_default() -> None:
    settings = load()
    assert settings == Settings()
    assert settings.kafka.client() == {"bootstrap.servers": "127.0.0.1:9092", "security.protocol": "plaintext"}
    assert settings.domain().horizon_ms == 31 * 86_400_000


def test_the_environment_beats_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    written('[kafka]\nbootstrap = "file:1"\ngroup = "file"\n[worker]\ndimensions = ["team"]')
    monkeypatch.setenv("DESKPULSE_KAFKA__BOOTSTRAP", "environment:1")
    monkeypatch.setenv("DESKPULSE_WORKER__HORIZON", "unlimited")
    monkeypatch.setenv("DESKPULSE_FCR__PARTS", "one_touch, no_followup")
    settings = load()
    assert settings.kafka.bootstrap == "environment:1"
    assert settings.kafka.group == "file"
    assert settings.domain().horizon_ms is None
    assert settings.domain().dimensions == ("team",)
    assert settings.domain().fcr_parts == ("one_touch", "no_followup")


def test_the_option_beats_the_variable_beats_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    written('[kafka]\ngroup = "folder"')
    assert load().kafka.group == "folder"
    monkeypatch.setenv("DESKPULSE_CONFIG", str(written('[kafka]\ngroup = "variable"', "a.toml")))
    assert load().kafka.group == "variable"
    assert load(written('[kafka]\ngroup = "option"', "b.toml")).kafka.group == "option"


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ('[kafka]\n\npartitions = "twelve"', ':3: `kafka.partitions` = "twelve": should be a valid integer'),
        ("kafka.partitions = 0", ":1: `kafka.partitions` = 0: should be greater than or equal to 1"),
        ("[worker]\ncommit_interval = 5", ":2: `worker.commit_interval` = 5: expected a duration with its unit, like"),
        ('[worker]\ncommit_interval = "0s"', ":2: `worker.commit_interval` = \"0s\": expected a duration above 0"),
        ('[worker]\nhorizon = "ever"', '"2d", or "unlimited"'),
        ('[worker]\nclock = "sun"', ":2: `worker.clock` = \"sun\": should be 'wall' or 'event'"),
        ('[worker]\ndimensions = ["chanel"]', ':2: `worker.dimensions` = "chanel": expected one of channel, '),
        ('[worker]\ndimensions = ["team", "team"]', "team stands there twice; expected each once"),
        ('[kafka.security]\nprotocol = "tls"', ":2: `kafka.security.protocol` = \"tls\": should be 'plaintext', 'ssl'"),
        ('[kafka]\nbootstap = "x:1"', ":2: `kafka.bootstap` is no setting; did you mean `kafka.bootstrap`?"),
        ("[click_house]\nport = 1", ":1: `click_house` is no setting; did you mean `clickhouse`?"),
        ('[clickhouse.retention]\nminute_cells = "1d"', "expected more than 1d, the longest window by minutes"),
        ("[bands.csat_ratio]\nindustry_low = 8", "`bands.csat_ratio.industry_low` = 8: should be less than"),
        ("[kafka", "deskpulse.toml: not TOML: "),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_with_its_line_and_what_is_right(toml: str, told: str) -> None:
    assert told in refused(written(toml))


def test_all_wrong_values_are_told_at_once() -> None:
    assert len(refused(written('[kafka]\npartitions = 0\nreplication = 0\ngroup = ""')).splitlines()) == 3


def test_a_wrong_variable_is_called_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESKPULSE_WORKER__WEB_PORT", "http")
    assert refused().startswith('DESKPULSE_WORKER__WEB_PORT: `worker.web_port` = "http": should be a valid integer')


def test_a_variable_that_only_looks_like_a_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESKPULSE_KAFKA_BOOTSTRAP", "x:1")
    assert refused() == "DESKPULSE_KAFKA_BOOTSTRAP: means nothing; expected DESKPULSE_KAFKA__BOOTSTRAP"
    monkeypatch.delenv("DESKPULSE_KAFKA_BOOTSTRAP")
    monkeypatch.setenv("DESKPULSE_KAKFA__BOOTSTRAP", "x:1")
    assert refused() == "DESKPULSE_KAKFA__BOOTSTRAP: there is no such section; did you mean `kafka`?"


def test_secrets_come_from_files(monkeypatch: pytest.MonkeyPatch) -> None:
    written("from a file\n", "secret")
    path = written('[clickhouse]\npassword_file = "secret"\n[kafka.security]\nprotocol = "sasl_ssl"\nusername = "u"')
    monkeypatch.setenv("DESKPULSE_KAFKA__SECURITY__PASSWORD", "plain")
    assert load(path).clickhouse.password.get_secret_value() == "from a file"
    assert load(path).clickhouse.target().password == "from a file"
    monkeypatch.delenv("DESKPULSE_KAFKA__SECURITY__PASSWORD")
    monkeypatch.setenv("DESKPULSE_KAFKA__SECURITY__PASSWORD_FILE", "secret")
    assert load(path).kafka.security.password.get_secret_value() == "from a file"
    monkeypatch.setenv("DESKPULSE_KAFKA__SECURITY__PASSWORD_FILE", "nowhere")
    assert "nowhere" in refused(path)
    assert "expected one of them" in refused(written('[clickhouse]\npassword = "a"\npassword_file = "secret"'))


def test_secrets_are_never_shown(deskpulse: Deskpulse) -> None:
    written('[clickhouse]\npassword = "hunter2"\n[kafka.options]\n"ssl.key.password" = "hunter2"\n"linger.ms" = 5')
    for answer in ("text", "json"):
        ran = deskpulse("config", "--format", answer)
        assert ran.code == 0
        assert "hunter2" not in ran.out + ran.err
        assert "linger.ms" in ran.out
    assert "hunter2" not in repr(load())
    assert "12345" not in refused(written("[clickhouse]\npassword = 12345"))
    assert "hunter2" not in refused(written('[clickhouse]\npasword = "hunter2"'))


def test_what_config_shows_can_be_read_again(deskpulse: Deskpulse) -> None:
    path = written('[worker]\nhorizon = "2d"\n[kafka.options]\n"linger.ms" = 5\n[clickhouse]\npath = "here"')
    shown = written(deskpulse("config", "-c", path).out, "shown.toml")
    assert load(shown).changed(clickhouse={"password": ""}, kafka={"security": {}}) == load(path)


def test_a_changed_copy_is_checked() -> None:
    changed = Settings().changed(kafka={"bootstrap": "there:1"}, worker={"clock": "event", "horizon": "unlimited"})
    assert changed.kafka.bootstrap == "there:1"
    assert changed.worker.horizon is None
    assert changed.worker.id == Settings().worker.id
    with pytest.raises(ValueError, match="web_prt"):
        Settings().changed(worker={"web_prt": 1})


def test_the_command_ends_with_code_2_and_no_traceback(deskpulse: Deskpulse) -> None:
    ran = deskpulse("topics", "check", "--config", written("[kafka]\npartitions = 0"))
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err == "deskpulse.toml:2: `kafka.partitions` = 0: should be greater than or equal to 1\n"
    assert deskpulse("config", "-c", "nowhere.toml").err.startswith("nowhere.toml: cannot be read: ")


@given(st.integers(min_value=0, max_value=10**14))
def test_durations_are_read_as_they_are_written(ms: int) -> None:
    assert parse_duration(format_duration(timedelta(milliseconds=ms))) == timedelta(milliseconds=ms)


def test_lines_are_found_in_dotted_keys_and_nested_tables() -> None:
    text = (
        '# kafka\n[kafka.security]\n"username" = "u"\n[kafka.options]\n"a.b" = 1\n[clickhouse]\nretention.facts = "1d"'
    )
    assert line_of(("kafka", "security", "username"), text) == 3
    assert line_of(("clickhouse", "retention", "facts"), text) == 7
    assert line_of(("kafka", "security", "password"), text) == 2
    assert line_of(("worker", "id"), text) is None
