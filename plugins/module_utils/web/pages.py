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
    """A page, by its C(path), or as the first C(link) of the page before it that begins so."""

    path: str = ""
    link: str = ""
    status: int = 200
    content: str = ""


def fault(server: str, pages: Sequence[Page], ask: Ask) -> str:
    """What is wrong with the first page that is not as expected; empty if all are.

    Links are looked for on the last page that was named by its path. A page without such a link has
    nobody to show, which is no fault. Nor is an empty answer: somebody may have no picture.
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
        if status != page.status:
            return f"{url} answers {status}, expected {page.status}"
        if page.content not in body:
            return f"{url} does not contain {page.content!r}"
        if page.path:
            text = body
    return ""
