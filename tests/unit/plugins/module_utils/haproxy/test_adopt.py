# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks in somebody else's configuration: where they go, what is refused, and that they leave."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.adopt import (
    AdoptError,
    Wanted,
    missing_files_empty,
    origin_maps,
    plan,
    take_out,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.edit import (
    Edit,
    set_default_backend,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import (
    HaproxyConfigError,
    decode,
    encode,
    find_frontend,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import (
    parse as parse_config,
)
from hypothesis import given
from hypothesis import strategies as st

FOLLOW = "use_backend %[fe_name,map(/m)] if { fe_name,map(/m) -m found }"
DOCKER = "backend docker\n    server d1 192.0.2.2:32001 check\n"
SWARM = "backend swarm\n    server s1 192.0.2.3:8080 check\n"
WANTED = Wanted(DOCKER, ("www",), FOLLOW)
DOCKER_BLOCK = (
    "# BEGIN bookface.platform backend docker\n"
    "backend docker\n    server d1 192.0.2.2:32001 check\n"
    "# END bookface.platform backend docker\n"
)

SITE = """\
global
    user haproxy
defaults
    mode http
frontend www
    bind :80
    use_backend images if { path_beg /img }
    default_backend web
# the web servers
backend web
    server web1 192.0.2.1:80
backend images
    server web1 192.0.2.1:81
"""


def rule_block(indent: str = "    ", ending: str = "\n") -> str:
    lines = ("# BEGIN bookface.platform rule", FOLLOW, "# END bookface.platform rule")
    return "".join(f"{indent}{line}{ending}" for line in lines)


def test_backend_at_the_end_and_rule_before_the_default() -> None:
    expected = SITE.replace("    default_backend", rule_block() + "    default_backend")
    assert plan(SITE, WANTED) == expected + DOCKER_BLOCK


def test_twice_is_once_and_out_again_gives_the_same_text() -> None:
    once = plan(SITE, WANTED)
    assert plan(once, WANTED) == once
    assert plan(once, Wanted()) == SITE
    assert list(take_out(once).blocks) == ["rule", "backend docker"]


def test_variables_go_before_the_site_s_own_rules_and_out_of_their_conditions() -> None:
    rule = f"# why\nhttp-request set-var(txn.a) src\n# then\n{FOLLOW}"
    wanted = Wanted("", ("www",), rule)
    variables = (
        "    # BEGIN bookface.platform variables\n    # why\n"
        "    http-request set-var(txn.a) src\n    # END bookface.platform variables\n"
    )
    follow = rule_block().replace(f"    {FOLLOW}", f"    # then\n    {FOLLOW}")
    own = "    use_backend images if { path_beg /img }\n"
    default = "    default_backend web\n"
    assert plan(SITE, wanted) == SITE.replace(own + default, variables + own + follow + default)
    conditional = f"    .if feature(OPENSSL)\n{own}    .endif\n"
    text = SITE.replace(own, conditional)
    planned = plan(text, wanted)
    assert planned == text.replace(
        conditional + default, variables + conditional + follow + default
    )
    assert plan(planned, Wanted()) == text
    # Without rules of its own one block is enough.
    alone = SITE.replace(own, "")
    assert list(take_out(plan(alone, wanted)).blocks) == ["rule"]


def test_only_backends() -> None:
    assert plan(SITE, Wanted(DOCKER + SWARM)).startswith(SITE + DOCKER_BLOCK)
    assert plan(plan(SITE, WANTED), Wanted(DOCKER)) == SITE + DOCKER_BLOCK


def test_a_block_is_replaced_where_it_stands() -> None:
    once = plan(SITE, WANTED) + "backend later\n    server l 192.0.2.9:80\n"
    more = "backend docker\n    server d9 192.0.2.2:32009\n"
    again = plan(once, Wanted(more, ("www",), FOLLOW))
    assert again == once.replace("server d1 192.0.2.2:32001 check", "server d9 192.0.2.2:32009")


TWO = SITE + "frontend tls\n\tbind :81\n\tdefault_backend web\n"


def test_several_frontends_get_the_rule() -> None:
    planned = plan(TWO, Wanted("", ("www", "tls"), FOLLOW))
    assert list(take_out(planned).blocks) == ["rule www", "rule tls"]
    assert planned.count(FOLLOW) == 2
    assert plan(planned, Wanted("", ("www", "tls"), FOLLOW)) == planned
    assert plan(planned, Wanted()) == TWO


def test_a_frontend_does_not_lose_its_rule_because_another_gets_one() -> None:
    once = plan(TWO, WANTED)
    with pytest.raises(AdoptError, match="frontend www has the rule and would lose it") as caught:
        plan(once, Wanted("", ("tls",), FOLLOW))
    assert "Name all that follow the switch: [www, tls]" in caught.value.remedy
    both = plan(once, Wanted(DOCKER, ("www", "tls"), FOLLOW))
    assert both.count(FOLLOW) == 2
    assert plan(plan(both, Wanted()), Wanted("", ("tls",), FOLLOW)).count(FOLLOW) == 1


def test_the_site_s_own_rules_come_first_wherever_they_stand() -> None:
    text = SITE.replace("    use_backend images if { path_beg /img }\n", "").replace(
        "    default_backend web\n",
        "    default_backend web\n"
        "    .if feature(OPENSSL)\n    use_backend images if { path_beg /img }\n    .endif\n",
    )
    planned = plan(text, WANTED)
    assert planned.index("path_beg /img") < planned.index("    .endif\n") < planned.index(FOLLOW)
    assert planned.index(FOLLOW) < planned.index("backend web\n    server")
    assert plan(planned, Wanted()) == text


def test_carriage_returns_are_kept_and_used() -> None:
    text = SITE.replace("\n", "\r\n")
    planned = plan(text, WANTED)
    assert rule_block(ending="\r\n") in planned
    assert "\n" not in planned.replace("\r\n", "")
    assert plan(planned, WANTED) == planned
    assert plan(planned, Wanted()) == text


def set_www(text: str, backend: str) -> Edit:
    config = parse_config(text)
    return set_default_backend(config, find_frontend(config, "www"), backend)


def test_a_default_that_the_switch_wrote_into_the_block_is_kept() -> None:
    text = SITE.replace("    default_backend web\n", "").replace(
        "    mode http\n", "    mode http\n    default_backend web\n"
    )
    planned = plan(text, WANTED)
    switched = set_www(planned, "docker").text
    assert switched != planned
    again = plan(switched, WANTED)
    assert again.count("    default_backend docker\n") == 1
    assert plan(again, WANTED) == again
    back = set_www(again, "web").text
    added = "    default_backend web\n"
    assert plan(back, Wanted()) == text.replace("/img }\n", "/img }\n" + added)


@pytest.mark.parametrize(
    ("text", "wanted", "message"),
    [
        (SITE, Wanted("", ("shop",), FOLLOW), "existing frontends: www"),
        (SITE + "frontend www\n", WANTED, "defined more than once (lines 5, 14)"),
        (SITE + "backend docker\n", WANTED, "'backend docker' already exists in the configuration"),
        (SITE + "listen docker\n", WANTED, "'listen docker' already exists in the configuration"),
        (SITE[:-1], WANTED, "(13) does not end with a line feed"),
        (SITE + ".if streq(a,b)\n", WANTED, "has no .endif"),
        (SITE.replace("mode http", "mode tcp"), WANTED, "expected mode http, got mode tcp"),
        (SITE.replace("mode http", "log global"), WANTED, "got mode tcp"),
        (SITE.replace("default_backend", "#"), WANTED, "frontend www has no default_backend"),
        (
            "defaults\n mode http\nlisten www\n bind :80\n server w 192.0.2.1:80\n",
            WANTED,
            "Move its servers into a backend of their own",
        ),
        (SITE.replace(" if { path_beg /img }", ""), WANTED, "after line 7 (use_backend images)"),
        (SITE.replace("/img }", "/ }"), WANTED, "after line 7 (use_backend images if { path_beg /"),
        (SITE.replace("images if { path_beg /img }", "%[path,map(/p)]"), WANTED, "after line 7"),
        (
            SITE.replace("    default", f"    {FOLLOW}\n    default"),
            WANTED,
            "already has the rule (line 8), outside the marked blocks",
        ),
        (SITE, Wanted("backend a\nbackend a\n"), "expected only sections 'backend NAME'"),
        (SITE, Wanted("# x\n"), "expected only sections 'backend NAME'"),
        (
            SITE,
            Wanted("backend docker\nglobal\n"),
            "expected only sections 'backend NAME'",
        ),
        (SITE, Wanted("backend a\xe9\n"), "expected only sections 'backend NAME'"),
        (SITE, Wanted("", ("www",), "global"), "begins a section"),
        (SITE + "# BEGIN bookface.platform rule\n", WANTED, "begins at line 14 (rule) has no END"),
        (SITE + "# END bookface.platform rule\n", WANTED, "line 14 is '# END"),
        (
            SITE + "# BEGIN bookface.platform rule\n# END bookface.platform backend a\n",
            WANTED,
            "begins at line 14 (rule) ends at line 15",
        ),
        (SITE + rule_block() * 2, WANTED, "line 17 is '# BEGIN"),
    ],
)
def test_refusals(text: str, wanted: Wanted, message: str) -> None:
    with pytest.raises(HaproxyConfigError) as caught:
        plan(text, wanted)
    assert message in caught.value.message("")


def test_a_backend_that_has_the_traffic_is_not_taken_out() -> None:
    text = plan(SITE, WANTED).replace("default_backend web", "default_backend docker")
    with pytest.raises(AdoptError, match="frontend 'www' sends its traffic to backend docker"):
        plan(text, Wanted())


PAGE = "backend maintenance\n  http-request return status 503 file /p/a.html hdr X y\n"
ORIGIN = "http-request set-var(txn.bookface_origin) fe_name,map(/o)\n"


def test_a_backend_that_gets_the_traffic_back_after_a_page_is_not_taken_out() -> None:
    wanted = Wanted(DOCKER + PAGE, ("www",), ORIGIN + FOLLOW)
    text = plan(SITE, wanted)
    assert origin_maps(text) == {}
    text = text.replace("default_backend web", "default_backend maintenance")
    assert origin_maps(text) == {"www": "/o"}
    without = replace(wanted, backends=PAGE, origins={"www": "docker"})
    with pytest.raises(AdoptError, match="'www' returns to backend docker after maintenance"):
        plan(text, without)
    assert "backend docker" not in plan(text, replace(without, origins={"www": "web"}))


def test_maps_that_are_missing_are_read_as_empty() -> None:
    planned = plan(SITE, WANTED)
    assert missing_files_empty(planned, lambda _path: True) == planned
    assert missing_files_empty(planned, lambda _path: False) == planned.replace(
        "(/m)", "(/dev/null)"
    )


def test_a_page_that_is_missing_is_read_as_empty() -> None:
    planned = plan(SITE, Wanted(PAGE, ("www",), ORIGIN + WANTED.rule))
    assert missing_files_empty(planned, lambda path: path != "/p/a.html") == planned.replace(
        " /p/a.html ", " /dev/null "
    )
    assert missing_files_empty(planned, lambda path: path != "/o") == planned.replace(
        "(/o)", "(/dev/null)"
    )


_WORDS = st.sampled_from(
    ("", "  bind :80", "  # note", "\tuse_backend web if TRUE", "  default_backend web", "défaut")
)
_LINES = st.lists(_WORDS | st.text(alphabet="ab #\"'\\\t\v\r\udce9", max_size=9), max_size=9)


@given(before=_LINES, inside=_LINES, after=_LINES, ending=st.sampled_from(("\n", "\r\n")))
def test_any_text_comes_back_byte_for_byte(
    before: list[str], inside: list[str], after: list[str], ending: str
) -> None:
    lines = [*before, "defaults", " mode http", "frontend www", *inside, "  default_backend web"]
    text = "".join(line + ending for line in [*lines, *after, "backend web"])
    try:
        planned = plan(text, WANTED)
    except HaproxyConfigError:
        return
    assert planned != text
    assert plan(planned, WANTED) == planned
    assert encode(plan(planned, Wanted())) == encode(text)
    assert decode(encode(planned)) == planned
