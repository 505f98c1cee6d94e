"""How a login of the pages is replaced, as a plan and in files."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.filter.logins import FilterModule
from ansible_collections.bookface.platform.plugins.filter.scram_secret import scram_secret
from hypothesis import given
from hypothesis import strategies as st

filters = FilterModule().filters()
plan, pattern = filters["rotation_plan"], filters["rotation_pattern"]
overlap, differs = filters["pgpass_overlap"], filters["pgpass_differs"]
preparable = filters["scram_preparable"]
users_overlap, users_differ = filters["userlist_overlap"], filters["userlist_differs"]

USER = "bfuser"
BRIDGE, SECOND = "bfuser_rotation", "bfuser_rotation2"


def account(name: str, login: bool = True, ours: bool = True) -> dict[str, Any]:
    return {"name": name, "login": login, "ours": ours}


@pytest.mark.parametrize(
    ("accounts", "matching", "current", "bridge", "leftovers"),
    [
        # Nobody has it yet, or nobody can use it.
        ([], [], False, "", []),
        ([account(USER, login=False)], [], False, "", []),
        # There is nothing to do.
        ([account(USER)], [USER], True, "", []),
        # It begins, and is continued: the bridge without a password, and with it.
        ([account(USER)], [], False, BRIDGE, []),
        ([account(USER), account(BRIDGE, login=False)], [], False, BRIDGE, [BRIDGE]),
        ([account(USER), account(BRIDGE)], [BRIDGE], False, BRIDGE, [BRIDGE]),
        # The password is changed, the bridge is still there.
        ([account(USER), account(BRIDGE)], [USER, BRIDGE], True, "", [BRIDGE]),
        # In the middle somebody chose a third password, and a fourth.
        ([account(USER), account(BRIDGE)], [], False, SECOND, [BRIDGE]),
        ([account(USER), account(BRIDGE), account(SECOND)], [SECOND], False, SECOND, None),
        # Back to the old one: web servers may use the bridge.
        ([account(USER), account(BRIDGE)], [USER], True, "", [BRIDGE]),
        # Somebody else's account.
        ([account(USER), account(BRIDGE, ours=False)], [BRIDGE], False, SECOND, []),
    ],
)
def test_the_plan(
    accounts: list[dict[str, Any]],
    matching: list[str],
    current: bool,
    bridge: str,
    leftovers: list[str] | None,
) -> None:
    said = plan(accounts, USER, matching)
    assert (said["current"], said["bridge"]) == (current, bridge)
    assert leftovers is None or said["leftovers"] == leftovers


def test_a_bridge_s_name_fits_and_is_known() -> None:
    long = "u" * 63
    bridge = plan([account(long)], long, [])["bridge"]
    assert len(bridge) < 63
    assert re.match(pattern(long), bridge)
    assert re.match(pattern("my-site.2"), "my-site.2_rotation17")
    assert not re.match(pattern("my-site.2"), "my-siteX2_rotation")
    assert not re.match(pattern(USER), "bfuser_rotation_of_others")


def test_accounts_that_say_too_little_are_an_error() -> None:
    with pytest.raises(AnsibleFilterError, match="rotation_plan: KeyError"):
        plan([{"name": USER}], USER, [])


NEW, OLD = "db:5432:bf:*:new\n", "db:5432:bf:*:old\n"


@pytest.mark.parametrize(
    ("new", "before", "user", "after"),
    [
        (NEW, "", BRIDGE, f"db:5432:bf:{BRIDGE}:new\n"),
        (NEW, OLD, BRIDGE, f"db:5432:bf:{BRIDGE}:new\n{OLD}"),
        # Again.
        (NEW, f"db:5432:bf:{BRIDGE}:new\n{OLD}", BRIDGE, f"db:5432:bf:{BRIDGE}:new\n{OLD}"),
        (NEW, NEW, USER, NEW),
        # What others have written, and what was written for one account.
        (NEW, "# *\n*:*:*:bfuser:old\nnonsense\n", USER, None),
        # What separates fields.
        ("db:1:bf:*:n\\:w\\\\\n", "db:1:bf:*:n\\:w\\\\\n", "a", "db:1:bf:*:n\\:w\\\\\n"),
        ("db:1:bf:*:n\\:w\\\\\n", "", "a:b", "db:1:bf:a\\:b:n\\:w\\\\\n"),
        ("fd00\\:\\:5:1:bf:*:x\n", "fd00\\:\\:5:1:bf:*:x\n", "a", "fd00\\:\\:5:1:bf:*:x\n"),
    ],
)
def test_a_password_file_for_both_logins(
    new: str, before: str, user: str, after: str | None
) -> None:
    assert overlap(new, before, user) == (after or f"db:5432:bf:{user}:new\n{before}")


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("", False),
        (NEW, False),
        (OLD, True),
        ("other:5432:bf:*:old\n", False),
        ("db:5432:bf:bfuser:old\n", True),
        ("db:5432:bf:bfuser_rotation:new\ndb:5432:bf:*:old\n", True),
    ],
)
def test_a_changed_password_is_found(before: str, said: bool) -> None:
    assert differs(NEW, before, USER) is said


TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=9)


@given(TEXT, TEXT, TEXT)
def test_old_and_new_are_found_whatever_they_are(old: str, new: str, user: str) -> None:
    def line(password: str) -> str:
        return f"db:1:bf:*:{password.replace(chr(92), chr(92) * 2).replace(':', chr(92) + ':')}\n"

    both = overlap(line(new), line(old), f"{user}_rotation")
    assert not differs(line(new), both, f"{user}_rotation")
    assert not differs(line(old), both, user)


SECRET = scram_secret("a-long-password-of-letters", 64, "W22ZaJ0SNY7soEsUEjb6gQ==")


def test_a_user_list_for_both_logins() -> None:
    old, new = '"bfuser" "o""ld"\n', '"bfuser_rotation" "new"\n'
    both = users_overlap(new, old)
    assert both == '"bfuser_rotation" "new"\n"bfuser" "o""ld"\n'
    assert users_overlap(new, both) == both
    # The same account with another password.
    assert users_overlap('"bfuser" "new"\n', both) == '"bfuser" "new"\n"bfuser_rotation" "new"\n'


@pytest.mark.parametrize(
    ("before", "password", "said"),
    [
        ("", "x", False),
        ('"other" "y"\n', "x", False),
        ('"bfuser" "x"\n', "x", False),
        ('"bfuser" "x""y"\n', 'x"y', False),
        ('"bfuser" "y"\n', "x", True),
        (f'"bfuser" "{SECRET}"\n', "a-long-password-of-letters", False),
        (f'"bfuser" "{SECRET}"\n', "another", True),
    ],
)
def test_a_changed_password_of_a_user_list_is_found(before: str, password: str, said: bool) -> None:
    assert users_differ(before, USER, password) is said


@pytest.mark.parametrize(
    ("password", "can"),
    [
        ("", True),
        ('correct horse: "battery"', True),
        ("pâté\u00a0Ⅸ", True),
        ("soft\u00adhyphen", True),
        ("\u05d0\u05d1", True),
        ("smile \U0001f600", False),
        ("line\nbreak", False),
        ("private \ue000", False),
        ("\u05d0 and x", False),
        ("x\u05d0", False),
    ],
)
def test_passwords_that_can_be_compared(password: str, can: bool) -> None:
    assert preparable(password) is can
