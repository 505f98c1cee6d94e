# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a web server serves the pages that users ask for."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urljoin

# Status and text of a page; status 0 if there is no answer, then the text says why.
Ask = Callable[[str], tuple[int, str]]


@dataclass(frozen=True)
class Page:
    """A page, by its C(path), or as the first C(link) with this text on the page before it.

    Without a C(status), a path answers 200, and a link is no error of the server.
    """

    path: str = ""
    link: str = ""
    status: int | None = None
    content: str = ""

    def wrong(self, status: int) -> str:
        """What was expected instead of this status; empty if nothing else was."""
        if self.status is None and self.link:
            return "" if status < 500 else "less than 500"
        expected = self.status or 200
        return "" if status == expected else str(expected)


def fault(server: str, pages: Sequence[Page], ask: Ask) -> str:
    """What is wrong with the first page that is not as expected; empty if all are.

    Links are looked for on the last page that was named by its path. A page without such a link has
    nobody to show, which is no fault. Nor is a 404 there: somebody may have no picture.
    """
    base, text = f"{server}/", ""
    for page in pages:
        if page.path:
            url = base = urljoin(f"{server}/", page.path)
        else:
            found = re.search(rf"""["']([^"']*{re.escape(page.link)}[^"']*)["']""", text)
            if not found:
                continue
            url = urljoin(base, html.unescape(found[1]))
        status, body = ask(url)
        if not status:
            return f"{url} does not answer ({body})"
        if expected := page.wrong(status):
            return f"{url} answers {status}, expected {expected}"
        if page.content not in body:
            return f"{url} does not contain {page.content!r}"
        if page.path:
            text = body
    return ""
