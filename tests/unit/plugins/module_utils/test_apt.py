"""What apt-get would install, from what it prints in a simulation."""

from __future__ import annotations

from ansible_collections.bookface.platform.plugins.module_utils.apt import Change, changes

SIMULATED = """NOTE: This is only a simulation!
Reading package lists...
The following packages will be upgraded:
  containerd haproxy
Inst haproxy [2.6.12-1+deb12u3] (2.6.12-1+deb12u4 Debian-Security:12/stable-security [amd64])
Inst containerd [1.6.20~ds1-1+deb12u2] (1.6.20~ds1-1+deb12u3 Debian:12.11/oldstable [amd64]) []
Inst tini (0.19.0-1 Debian:12.11/oldstable [amd64])
Remv old-one [1.0]
Conf haproxy (2.6.12-1+deb12u4 Debian-Security:12/stable-security [amd64])
""".splitlines()


def test_upgraded_and_new() -> None:
    assert changes(SIMULATED) == [
        Change("containerd", "1.6.20~ds1-1+deb12u2", "1.6.20~ds1-1+deb12u3"),
        Change("haproxy", "2.6.12-1+deb12u3", "2.6.12-1+deb12u4"),
        Change("tini", "", "0.19.0-1"),
    ]
    assert [one.as_data()["text"] for one in changes(SIMULATED)[1:]] == [
        "haproxy 2.6.12-1+deb12u3 -> 2.6.12-1+deb12u4",
        "tini 0.19.0-1",
    ]


def test_what_is_there_elsewhere_is_no_change() -> None:
    there = ["haproxy 2.6.12-1+deb12u4", "tini 0.18.0-1", "no-version", ""]
    assert [(one.name, one.old) for one in changes(SIMULATED, there)] == [
        ("containerd", "1.6.20~ds1-1+deb12u2"),
        ("tini", "0.18.0-1"),
    ]


def test_nothing() -> None:
    assert changes(["0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded."]) == []
