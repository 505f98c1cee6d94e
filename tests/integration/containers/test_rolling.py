# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers are replaced, added and removed while clients ask: nobody notices."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator

import pytest

from tests.support.balancer import ask
from tests.support.engine import docker
from tests.support.rolling import HOST, LOOPBACK, Site
from tests.support.waiting import until

from .conftest import begun, changed, keep, killed_at, message, other


@pytest.fixture
def bare(shared: Site) -> Iterator[Site]:
    """The site without a container and without its database, which is back afterwards."""
    for name in shared.containers():
        docker("rm", "--force", name)
    shared.cut_database(True)
    yield shared
    shared.cut_database(False)


def test_the_first_run_without_a_database(bare: Site) -> None:
    """The containers live, get no requests, and join by themselves.

    Even where the load balancer has drained them, as it does for those that are removed.
    """
    site = bare
    for port in site.ports[:2]:
        ask(site.socket, f"set server docker/{HOST}-{port} state drain")
    previewed = site.run("--check", "--diff")
    assert changed(previewed) > 0
    assert site.containers() == {}

    done = site.run(web_containers_start_timeout=2)
    said = message(done)
    assert "rolling-1 on http://" in said
    assert "its last answer: not ready: database" in said
    assert "It gets no requests until it is ready" in said
    first = site.containers()
    assert set(first) == {"rolling-1", "rolling-2"}
    assert "UP" not in site.states().values()

    site.cut_database(False)
    until(site.serving, "the servers, by themselves")
    assert changed(site.run()) == 0
    assert changed(site.run("--check", "--diff")) == 0
    assert site.containers() == first
    keep(site)


@pytest.mark.load
def test_a_new_image_without_a_lost_request(site: Site) -> None:
    before = site.containers()
    image = site.derived("next", "LABEL version=next")
    previewed = site.run("--check", "--diff", web_containers_image=image)
    assert changed(previewed) == 2
    assert "rolling-1 on" in previewed.stdout
    assert "is replaced: image" in previewed.stdout
    assert site.containers() == before

    with site.load(at_least=400) as load:
        assert changed(site.run(web_containers_image=image)) > 0
        until(site.serving, "both servers")
    keep(site, web_containers_image=image)
    assert load.summary.failed == 0, load.summary.examples
    after = site.containers()
    assert set(after) == set(before)
    assert not set(after.values()) & set(before.values())
    assert len(load.summary.by_server) == 2

    # The same image by another name is the same image.
    docker("tag", image, "bookface/rolling:renamed")
    assert changed(site.run(web_containers_image="bookface/rolling:renamed")) == 0
    assert site.containers() == after
    docker("image", "rm", "bookface/rolling:renamed")


def broken(site: Site) -> str:
    """An image whose containers do not come up."""
    return site.derived("broken", "HEALTHCHECK NONE", 'ENTRYPOINT ["/nowhere"]')


@pytest.mark.load
def test_a_new_one_that_does_not_come_up_is_taken_back(site: Site) -> None:
    image = broken(site)
    before = site.containers()
    with site.load(at_least=300) as load:
        said = message(site.run(web_containers_image=image, web_containers_start_timeout=8))
    assert "rolling-1 was not replaced: " in said
    assert "/nowhere" in said
    assert "The old container is back in its place." in said
    assert load.summary.failed == 0, load.summary.examples
    assert site.containers() == before
    until(site.serving, "both servers")
    assert changed(site.run()) == 0


@pytest.mark.load
def test_a_new_one_that_is_not_ready_is_taken_back(site: Site) -> None:
    """It starts, but reaches no database: a setting of the image that overrides the site's."""
    image = site.derived("astray", "ENV BF_DB_PORT=9")
    before = site.containers()
    with site.load(at_least=300) as load:
        said = message(site.run(web_containers_image=image, web_containers_start_timeout=8))
    assert "rolling-1 was not replaced: rolling-1 on http://" in said
    assert "was not ready within 8 s" in said
    assert "its last answer: not ready: database" in said
    assert "The end of its log:" in said
    assert "bookface probe:" in said
    assert load.summary.failed == 0, load.summary.examples
    assert site.containers() == before
    until(site.serving, "both servers")


@pytest.mark.load
def test_a_release_that_does_not_serve_is_taken_back(site: Site) -> None:
    """It reaches its database, so that it is ready; its front page is none."""
    image = site.edited("unparsable", lambda _page: "<?php this is no php (")
    before = site.containers()
    with site.load(at_least=300) as load:
        said = message(site.run(web_containers_image=image))
    assert "rolling-1 was not replaced: rolling-1 reaches its database but does not serve" in said
    assert "/ answers 500, expected 200" in said
    assert "The old container is back in its place." in said
    assert load.summary.failed == 0, load.summary.examples
    assert site.containers() == before
    until(site.serving, "both servers")

    # Where a container is missing, a new one that serves nobody does not stay.
    docker("rm", "--force", "rolling-2")
    said = message(site.run(web_containers_image=image, web_containers_keep=0))
    assert "rolling-2 reaches its database but does not serve" in said
    assert "rolling-2" not in site.containers()
    site.converge()


@pytest.mark.load
def test_a_release_that_only_clients_find_broken_is_taken_back(site: Site) -> None:
    """Whoever asks it directly gets its pages; those who come through the load balancer do not."""
    guard = "if (isset($_SERVER['HTTP_X_FORWARDED_FOR'])) { http_response_code(500); exit; }"
    image = site.edited("broken-later", lambda page: page.replace("<?php", f"<?php {guard}", 1))
    before = site.containers()
    with site.load(at_least=300) as load:
        said = message(site.run(web_containers_image=image))
    assert re.search(r"rolling-1 was not replaced: \d+ of \d+ answers from the servers of ", said)
    assert "The old container is back in its place." in said
    # Those that it got within a fifth of a second, and until it was gone.
    assert 0 < load.summary.failed < 60, load.summary.as_text()
    assert site.containers() == before
    until(site.serving, "both servers")


@pytest.mark.load
def test_a_run_that_was_killed_is_finished_by_the_next(site: Site) -> None:
    """Also if that one is killed; and its configuration is read by what runs."""
    before = site.containers()
    with site.load(at_least=300) as load:
        change = {**other(site), "bookface_frontpage_limit": 3}
        for task in ("Start the new one", "Put it into the load balancers"):
            killed_at(site, task, **change)
            assert any(name.endswith("-before") for name in site.containers())
        done = site.run(**change)
        assert changed(done) > 0
        until(site.serving, "both servers")
    assert "an earlier run was cut short" in done.stdout
    front = f"http://{LOOPBACK}:{site.ports[0]}/"
    with urllib.request.urlopen(front, timeout=10) as page:
        assert page.read().count(b"<h2><a href=") == 3
    assert load.summary.failed == 0, load.summary.examples
    after = site.containers()
    assert set(after) == set(before)
    assert not set(after.values()) & set(before.values())
    keep(site, **change)
    assert changed(site.run()) == 0
    assert site.containers() == after


def test_the_old_one_gets_its_requests_back_wherever_it_was(site: Site) -> None:
    """Drained and stopped by a run that was killed; then on another port than the new one."""
    before = site.containers()
    failing = {"web_containers_image": broken(site), "web_containers_start_timeout": 8}
    killed_at(site, "Start the new one", **other(site))
    assert "The old container is back in its place." in message(site.run(**failing))
    assert site.containers() == before
    until(site.serving, "both servers")

    moved = [{"name": f"rolling-{number}", "port": site.ports[3 - number]} for number in (1, 2)]
    said = message(site.run(web_containers_list=moved, web_containers_keep=0, **failing))
    assert "The old container is back in its place." in said
    assert site.containers() == before
    until(site.serving, "both servers")


def test_the_database_goes_away_in_the_middle(site: Site) -> None:
    """The old one is not ready either, and joins by itself; no further run has to see to it."""
    before = site.containers()
    try:
        with begun(site, "Start the new one", **other(site), web_containers_start_timeout=2):
            site.cut_database(True)
    finally:
        site.cut_database(False)
    said = (site.directory / "begun.log").read_text()
    assert "its last answer: not ready: database" in said
    assert "The old container has its name back, but is not ready" in said
    assert site.containers() == before
    until(site.serving, "both servers")


def test_a_removal_that_was_killed_is_taken_back_where_it_is_wanted_again(site: Site) -> None:
    before = site.containers()
    killed_at(site, "Stop it", count=1)
    assert re.search("DRAIN|DOWN", " ".join(site.states().values()))
    site.converge()
    assert set(site.containers()) == set(before)
    until(site.serving, "both servers")
