"""How the machine's settings reach builds."""

from __future__ import annotations

from pathlib import Path

from tools.images.machine import (
    Machine,
    apt_proxies,
    certificates,
    describe,
    npmrc,
    pip_conf,
    pip_settings,
)


def test_pip_settings_are_those_of_registries_and_the_environment_wins() -> None:
    listing = "\n".join(
        [
            "global.index-url='http://one.example/simple'",
            "global.user='true'",
            "install.target='/elsewhere'",
            ":env:.index-url='http://two.example/simple'",
            ":env:.default-timeout='180'",
        ]
    )
    assert pip_settings(listing) == {"index-url": "http://two.example/simple", "timeout": "180"}


def test_several_find_links_become_one_line() -> None:
    assert pip_settings(r"global.find-links='\n/a\n/b'") == {"find-links": "/a /b"}


def test_the_certificates_are_named_as_builds_see_them() -> None:
    assert pip_conf({"timeout": "9"}, authority=True) == "[global]\ntimeout = 9\ncert = /run/secrets/ca.crt\n"
    assert npmrc({"strict-ssl": False}, authority=True) == "strict-ssl=false\ncafile=/run/secrets/ca.crt\n"


def test_without_settings_the_files_say_nothing() -> None:
    assert pip_conf({}, authority=False) == "[global]\n"
    assert npmrc({}, authority=False) == ""


def test_certificates_come_from_the_first_variable_that_names_a_file(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("x")
    assert certificates({"PIP_CERT": str(tmp_path / "gone"), "SSL_CERT_FILE": str(bundle)}) == bundle


def test_proxies_of_apt_are_handed_on_unless_the_environment_has_its_own() -> None:
    dump = 'Acquire::http::Proxy "http://cache.example:3142";\nAcquire::https::Proxy "DIRECT";\n'
    assert apt_proxies(dump, {}) == {"http_proxy": "http://cache.example:3142"}
    assert apt_proxies(dump, {"http_proxy": "http://mine.example"}) == {}


def test_secrets_are_files_for_this_user_only(tmp_path: Path) -> None:
    machine = describe(tmp_path / "secrets")
    for name in ("pip.conf", "npmrc"):
        assert machine.secrets[name].stat().st_mode & 0o077 == 0


def test_folders_with_wheels_are_mounted_where_they_are() -> None:
    machine = Machine({"npmrc": Path("/s/npmrc")}, (Path("/wheels"),), {})
    assert machine.options() == ["--secret=id=npmrc,src=/s/npmrc", "--volume=/wheels:/wheels:ro"]
