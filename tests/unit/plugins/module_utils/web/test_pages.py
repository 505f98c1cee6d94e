"""Pages that a server must serve."""

from __future__ import annotations

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.web.pages import Page, fault

SERVER = "http://a:1"
FRONT = """<h1>Users: 2</h1> <a href="showuser.php?user=7&amp;a=1">Kari</a>
<a href='showuser.php?user=8'>Ola</a> <img src="showimage.php?user=7">"""
PAGES = [
    Page(path="/", content="Users:"),
    Page(link="showuser.php?user="),
    Page(link="showimage.php?user="),
]
SITE = {
    f"{SERVER}/": (200, FRONT),
    f"{SERVER}/showuser.php?user=7&a=1": (200, "Kari"),
    f"{SERVER}/showimage.php?user=7": (200, "\ufffd JFIF"),
}


def look(changed: dict[str, tuple[int, str]], pages: list[Page] = PAGES) -> str:
    return fault(SERVER, pages, lambda url: (SITE | changed)[url])


def test_a_site_that_serves() -> None:
    assert look({}) == ""
    assert look({}, []) == ""


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({f"{SERVER}/": (500, "")}, f"{SERVER}/ answers 500, expected 200"),
        ({f"{SERVER}/": (0, "refused")}, f"{SERVER}/ does not answer (refused)"),
        ({f"{SERVER}/": (200, "no database")}, f"{SERVER}/ does not contain 'Users:'"),
        (
            {f"{SERVER}/showuser.php?user=7&a=1": (502, "")},
            f"{SERVER}/showuser.php?user=7&a=1 answers 502, expected less than 500",
        ),
        (
            {f"{SERVER}/showimage.php?user=7": (500, "")},
            f"{SERVER}/showimage.php?user=7 answers 500, expected less than 500",
        ),
    ],
)
def test_the_first_fault_is_named(changed: dict[str, tuple[int, str]], expected: str) -> None:
    assert look(changed) == expected


def test_an_empty_site_has_nobody_to_show() -> None:
    assert look({f"{SERVER}/": (200, "Users: 0")}) == ""


def test_somebody_may_have_no_picture() -> None:
    for answer in ((200, ""), (404, "no picture")):
        assert look({f"{SERVER}/showimage.php?user=7": answer}) == ""
    asked = [Page(path="/"), Page(link="showimage.php?user=", status=200)]
    changed = {f"{SERVER}/showimage.php?user=7": (404, "no picture")}
    assert look(changed, asked).endswith("answers 404, expected 200")


def test_a_path_below_and_another_status() -> None:
    pages = [Page(path="blog/start.php"), Page(link="more"), Page(path="/gone", status=410)]
    changed = {
        f"{SERVER}/blog/start.php": (200, "<a href='more.php'>"),
        f"{SERVER}/blog/more.php": (200, "more"),
        f"{SERVER}/gone": (410, "gone"),
    }
    assert look(changed, pages) == ""
