"""Settings of the process and its connections: what cannot work is refused before the start."""

import pytest

from serving.process.settings import ConnectionSettings, ProcessSettings
from serving.process.supervisor import listen
from serving.settings.errors import SettingsError
from serving.settings.load import load


@pytest.mark.parametrize("host", ["a b", "a\nb", "\r\n", "a\tb", "127.0.0.1\n"])
def test_a_host_is_one_word(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("HOST", host)
    with pytest.raises(SettingsError, match=r"^HOST: got "):
        load(ProcessSettings)


@pytest.mark.parametrize("host", ["\udc80", "a" * 70 + ".example", "a..b", "192.0.2.1", "::zz"])
def test_a_host_that_nobody_has_is_one_line_of_error(host: str) -> None:
    with pytest.raises(SystemExit, match=r"^cannot listen on "):
        listen(ProcessSettings.model_construct(host=host, port=0))


@pytest.mark.parametrize("proxies", ["proxy", "10.0.0.0/33", "10.0.0.1/8", "::1/200", "10.0.0.1,x"])
def test_trusted_proxies_are_addresses_or_networks(
    monkeypatch: pytest.MonkeyPatch, proxies: str
) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", proxies)
    with pytest.raises(SettingsError, match=r"TRUSTED_PROXIES: got .*addresses or networks"):
        load(ConnectionSettings)


def test_addresses_and_networks_of_both_kinds_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.7, 10.0.0.0/8, ::1, 2001:db8::/32")
    taken = ("10.0.0.7", "10.0.0.0/8", "::1", "2001:db8::/32")
    assert load(ConnectionSettings).trusted_proxies == taken


@pytest.mark.parametrize("port", ["18_191", "65536", "-1", "http"])
def test_a_port_is_a_plain_number(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("PORT", port)
    with pytest.raises(SettingsError, match=r"^PORT: got "):
        load(ProcessSettings)
