"""Other configurations for a load balancer that serves. On one: each takes a run of the role."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from balancer import CONFIG, again, default_on_disk, serving, site, url_of
from testinfra.host import Host

from tests.support.load import Load

testinfra_hosts = ["ansible://lb26"]

CERTIFICATES = "/etc/haproxy/certificates"


def pem(folder: Path, name: str) -> tuple[str, str]:
    """A certificate and its key."""
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", str(folder / "key"), "-out", str(folder / "certificate")]
    subprocess.run(["openssl", *new, *subject, *files], check=True, capture_output=True)
    return (folder / "certificate").read_text(), (folder / "key").read_text()


def shown(host: Host) -> str:
    """The certificate that clients get."""
    address = url_of(host).removeprefix("http://").rstrip("/")
    return ssl.get_server_certificate((address, 443), timeout=10)


@pytest.fixture(scope="module", autouse=True)
def _configuration_of_the_scenario(host: Host) -> Iterator[None]:
    """What the tests configure is gone afterwards."""
    digest = f"sudo sha256sum {CONFIG}"
    before = host.check_output(digest)
    yield
    if host.check_output(digest) != before:
        done = site(host)
        assert done.returncode == 0, done.stdout
        assert host.check_output(digest) == before


def test_a_certificate_of_one_s_own_and_a_redirect_to_it(host: Host, tmp_path: Path) -> None:
    certificate, key = pem(tmp_path, "bookface.test")
    (tmp_path / "both.pem").write_text(certificate + key)
    done = site(
        host,
        "-e",
        json.dumps(
            {"haproxy_tls_certificate": str(tmp_path / "both.pem"), "haproxy_tls_redirect": True}
        ),
    )
    assert done.returncode == 0, done.stdout
    assert "PRIVATE KEY" not in done.stdout
    assert shown(host) == certificate
    files = host.check_output(f"sudo find {CERTIFICATES} -type f -printf '%m %u %f\\n'")
    assert re.fullmatch(r"600 root [0-9a-f]{64}\.pem", files.strip())
    redirect = "curl -s -o /dev/null -w '%{http_code} %{redirect_url}' -H 'Host: bookface.test:80'"
    assert host.check_output(f"{redirect} 'http://127.0.0.1/a?b=1'") == (
        "307 https://bookface.test/a?b=1"
    )
    assert "Users:" in host.check_output("curl -skL http://127.0.0.1/")


def test_a_certificate_with_another_s_key_is_never_put_in_place(host: Host, tmp_path: Path) -> None:
    before = shown(host), host.check_output(f"sudo sha256sum {CONFIG}")
    text = pem(tmp_path, "bookface.test")[0] + pem(tmp_path, "bookface.test")[1]
    done = site(host, "-e", json.dumps({"haproxy_tls_certificate": text}))
    assert done.returncode != 0
    assert "PRIVATE KEY" not in done.stdout
    assert (shown(host), host.check_output(f"sudo sha256sum {CONFIG}")) == before


@pytest.mark.load
def test_an_older_configuration_is_taken_further_without_losing_a_request(host: Host) -> None:
    """One from before the gradual shift and HTTPS, whose worker closes idle clients at a reload."""
    backend = default_on_disk(host)
    newer = "cohort|idle-close|ssl|X-Forwarded-Proto|redirect code|txn.host|Strict|capture"
    host.check_output(f"sudo sed -Ei '/{newer}/d' {CONFIG}")
    again(host, "reload")
    assert "cohort" not in host.check_output(f"sudo cat {CONFIG}")
    with Load([url_of(host)], clients=8, rate=50, expect="Users:", mix={"new": 1.0}) as load:
        assert load.wait_for(100, seconds=30)
        done = site(host)
        assert done.returncode == 0, done.stdout
        assert load.wait_for(load.requests + 100, seconds=30)
    assert "cohort" in host.check_output(f"sudo cat {CONFIG}")
    assert serving(host) == backend
    assert load.summary.failed == 0, load.summary.as_text()
