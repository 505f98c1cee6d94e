"""`make bench-database`: what indexes, caches and a pooler do for bookface, side by side.

    python -m bench.database [--quick] [--output FILE]

README.md beside this file says what is measured, and how.
"""

# ruff: noqa: S608  (statements of ids and names that stand here)
from __future__ import annotations

import contextlib
import itertools
import json
import math
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bench import report
from bench.report import BenchError, Row, spread
from tests.support.errors import HarnessError
from tests.support.load import Asked, Load, percentile, read_log
from tests.support.loopback import LOOPBACK, plugin
from tests.support.paths import ROLES
from tests.support.stage import (
    PASSWORD,
    POOLED_USER,
    USER,
    Cost,
    Front,
    Pooler,
    Postgres,
    Scale,
    Stage,
    Varnish,
    fetch,
    pooled_secret,
    seed,
)
from tests.support.waiting import until

SMALL, LARGE = "S", "L"
CLIENTS = 32
ALL = "all levers"
# Those through a load balancer: whether pages are in Varnish, and pictures in HAProxy's memory.
DOORS = {"page cache": (True, False), "pictures in HAProxy": (False, True), ALL: (True, True)}
RENEWED = [way for way, (pages, _) in DOORS.items() if pages]
FILES = "pictures as files"
# As the role makes it by default; the other has few iterations of SCRAM.
USUAL = "pooler, 4096 iterations"
WAYS = (
    "stock",
    "indexed",
    "1000 users shown",
    "active users only",
    "memcached",
    "pooler",
    USUAL,
    FILES,
    *DOORS,
)
FRONT, PICTURE = "front page", "picture"
# The same at each question.
SOMEBODY = "from users where picture is not null order by userid limit 1"
# What a good page holds; bookface answers 200 whatever happens.
EXPECT = {FRONT: r"<th>Users:</th><td>\d+<", PICTURE: "\xff|\ufffd"}
# The statements whose time is compared between the sizes.
TIMED = ("latest post of a user", "posts of a user", "comments of a post", "picture")
# They read the whole table by their nature.
WHOLE = re.compile(r"count\(|random\(\)")


@dataclass(frozen=True)
class Work:
    """How much is measured."""

    towns: Mapping[str, Scale]
    rounds: int = 3
    seconds: float = 1.5  # for each page, way and round
    lives_seconds: float = 10.0  # for a front page that the page cache renews every few seconds
    posting_seconds: int = 8  # for each round
    samples: int = 30  # users, posts and pictures that statements are tried with
    picture_requests: int = 1500
    patience: float = 75.0  # for a new post on the front page
    warm_seconds: float = 4.0
    kept_seconds: float = 16.0  # some lives of a page in the page cache


FULL = Work(
    {
        SMALL: Scale(1000, 5000, 10_000),
        "M": Scale(20_000, 200_000, 400_000),
        LARGE: Scale(200_000, 2_000_000, 4_000_000),
    }
)
QUICK = Work(
    {SMALL: Scale(200, 1000, 2000), LARGE: Scale(1000, 5000, 10_000)},
    rounds=1,
    seconds=0.1,
    lives_seconds=0.5,
    posting_seconds=1,
    samples=3,
    picture_requests=100,
    warm_seconds=1.0,
    kept_seconds=7.0,
)


@dataclass
class Seen:
    """What was measured in one town."""

    scans: int = 0
    buffers: list[float] = field(default_factory=list)
    statements_ms: dict[str, list[float]] = field(default_factory=dict)
    build_seconds: float = math.nan
    stall_seconds: float = math.nan
    calm_seconds: float = math.nan
    costs: dict[tuple[str, str], list[Cost]] = field(default_factory=dict)
    static: list[float] = field(default_factory=list)
    pictures: dict[str, list[float]] = field(default_factory=dict)
    posts: dict[str, list[float]] = field(default_factory=dict)
    expiry: dict[str, tuple[float, float]] = field(default_factory=dict)
    fresh_seconds: float = math.nan
    fresh: bool = False


# --- The database alone -------------------------------------------------------------------------


def index_statements(database: Postgres, name: str) -> list[str]:
    """What the role db_optimize would execute."""
    role = ROLES / "db_optimize"
    wishes = yaml.safe_load((role / "defaults" / "main.yml").read_text())["db_optimize_indexes"]
    tables = json.dumps(sorted({wish["table"] for wish in wishes}))
    text = plugin("module_utils.database.catalogue").CATALOGUE["postgresql"]
    text = text.replace("%(schema)s", "'public'").replace("%(tables)s", f"'{tables}'")
    text = text.replace("%%", "%")
    [catalogue] = database.documents(f"select row_to_json(c) from ({text}) as c", name)
    plan = plugin("filter.index_plan").index_plan
    return [step["statement"] for step in plan(wishes, catalogue) if step["statement"]]


def posting_script(town: Scale) -> str:
    """What addpost.php sends, for pgbench. The busy tenth writes; the others stay comparable."""
    user = "md5('user' || :n)::uuid::text"
    return "\n".join(
        [
            f"\\set n random(0, {town.users // 10 - 1})",
            f"select posts from users where userID = {user} \\gset",
            f"update users set posts = :posts + 1, lastpostdate = now() where userID = {user};",
            f"insert into posts (userID, text) values ({user}, 'A post of the usual length.');",
            "",
        ]
    )


def write_posts(stage: Stage, name: str, town: Scale, seconds: int) -> tuple[float, float]:
    """Two writers; posts per second, and the seconds that the slowest post took."""
    with tempfile.TemporaryDirectory(prefix="bench-posts-") as directory:
        script = Path(directory) / "post.sql"
        script.write_text(posting_script(town))
        command = stage.database.command("pgbench", name, USER)
        options = ["-n", "-c", "2", "-T", str(seconds), "-f", str(script), "--log"]
        done = subprocess.run(
            [command[0], *options, *command[1:]],
            cwd=directory,
            check=False,
            capture_output=True,
            text=True,
        )
        found = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
        if done.returncode or found is None:
            raise BenchError(f"pgbench: {done.stderr.strip()[-1000:]}")
        logs = Path(directory).glob("pgbench_log.*")
        took = [int(line.split()[2]) for log in logs for line in log.read_text().splitlines()]
    return float(found[1]), max(took) / 1e6


def build(stage: Stage, name: str, town: Scale, work: Work, seen: Seen) -> None:
    """Make the indexes while two writers post."""
    statements = index_statements(stage.database, name)
    if not any("CREATE INDEX" in statement for statement in statements):
        raise BenchError(f"nothing to index in {name}: {statements}")
    ended = threading.Event()
    failures: list[HarnessError] = []

    def make() -> None:
        begin = time.monotonic()
        try:
            for statement in statements:
                stage.database.sql(statement, name)
        except HarnessError as error:
            failures.append(error)
        seen.build_seconds = time.monotonic() - begin
        ended.set()

    _, seen.calm_seconds = write_posts(stage, name, town, work.posting_seconds)
    builder = threading.Thread(target=make)
    builder.start()
    stalls: list[float] = []
    # Each of these runs to the end of its last post: no stall is cut off.
    while not stalls or not ended.is_set():
        stalls.append(write_posts(stage, name, town, min(2, work.posting_seconds))[1])
    builder.join()
    if failures:
        raise failures[0]
    seen.stall_seconds = max(stalls)


def statements(stage: Stage, name: str, samples: int) -> dict[str, list[str]]:
    """The application's statements, each with some of the town's own ids.

    Those whose rows belong to one user or post take such with about as many rows in each town.
    """
    users = stage.database.sql(
        "select userid from posts group by userid having count(*) between 3 and 10"
        f" order by md5(userid) limit {samples}",
        name,
    ).split()
    posts = stage.database.sql(
        "select postid from comments group by postid having count(*) between 2 and 5"
        f" order by md5(postid) limit {samples}",
        name,
    ).split()
    pictures = stage.database.sql(
        f"select pictureid from pictures order by md5(pictureid) limit {samples}", name
    ).split()
    person = "userID,name,age,bio,status,posts,comments,lastPostDate,picture"
    post, where = "postid,text,postdate,image", "from posts where userid = '{}'"
    templates = {
        "random user": ("select userID from users order by random() limit 1", [""]),
        "random post": ("select userID from posts order by random() limit 1", [""]),
        "users counted": ("select count(*) from users", [""]),
        "posts counted": ("select count(*) from posts", [""]),
        "comments counted": ("select count(*) from comments", [""]),
        "front page": (
            "select userID,name,status,posts,comments,lastPostDate,picture from users"
            " order by lastPostDate desc limit 50",
            [""],
        ),
        "active users": (
            "select userID,name,status,posts,comments,lastPostDate,picture from users"
            " where lastPostDate >= now() - interval '1 day' order by lastPostDate desc limit 50",
            [""],
        ),
        TIMED[0]: (f"select {post} {where} order by postdate desc limit 1", users),
        TIMED[1]: (f"select {post} {where} order by postdate desc", users),
        TIMED[2]: (
            "select commentid,userid,text,postdate from comments where postid = '{}'"
            " order by postdate asc",
            posts,
        ),
        TIMED[3]: ("select picture from pictures where pictureid = '{}'", pictures),
        "profile": (f"select {person} from users where userID = '{{}}'", users),
        "picture's name": ("select picture from users where userID = '{}'", users),
        "a post counted": ("update users set posts = 1 where userID = '{}'", users),
    }
    return {what: [sql.format(one) for one in ids] for what, (sql, ids) in templates.items()}


def scans(plan: Mapping[str, Any]) -> int:
    """How many whole tables a plan reads."""
    own = plan["Node Type"] in ("Seq Scan", "Parallel Seq Scan")
    return own + sum(scans(child) for child in plan.get("Plans", []))


def explain(stage: Stage, name: str, work: Work, seen: Seen) -> None:
    """Plans, buffers and times of the statements."""
    asked = statements(stage, name, work.samples)
    order = [(what, sql) for what, texts in asked.items() for sql in texts]
    plans = stage.database.documents(
        "\n".join(f"explain (format json) {sql};" for _, sql in order), name
    )
    for (what, sql), [told] in zip(order, plans, strict=True):
        if not WHOLE.search(sql) and scans(told["Plan"]):
            seen.scans += 1
            print(f"{name}, {what}: reads a whole table: {sql}", file=sys.stderr)
    timed = [(what, sql) for what, sql in order if what in TIMED]
    text = "\n".join(
        f"explain (analyze, buffers, timing off, format json) {sql};" for _, sql in timed
    )
    # The same session asks twice: the second time everything is warm.
    answers = stage.database.documents(f"{text}\n{text}", name)[len(timed) :]
    for (what, _), [told] in zip(timed, answers, strict=True):
        took = told["Planning Time"] + told["Execution Time"]
        seen.statements_ms.setdefault(what, []).append(took)
        if what == TIMED[0]:
            plan = told["Plan"]
            seen.buffers.append(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


# --- The pages ----------------------------------------------------------------------------------


def configure(stage: Stage, name: str, pooler: Pooler, usual: Pooler) -> None:
    """What each way changes in config.json."""
    direct = {
        "dbhost": LOOPBACK,
        "dbport": stage.database.port,
        "db": name,
        "dbuser": USER,
        "dbpassw": PASSWORD,
        "frontpage_limit": 50,
    }
    pooled = {"dbport": pooler.port, "dbuser": POOLED_USER}
    cached = {
        "memcache_server": stage.cache.address,
        "memcache_enabled": 1,
        "memcache_enabled_pictures": 1,
    }
    everybody = {"frontpage_limit": 1000}
    changes: dict[str, Mapping[str, object]] = {
        "stock": {"db": stock(name)},
        "1000 users shown": everybody,
        "active users only": {**everybody, "use_activity_cutoff_days": 1},
        "memcached": cached,
        "pooler": pooled,
        USUAL: {"dbport": usual.port},
        FILES: {"use_local_images": 1, "imagepath": str(stage.web.path(FILES) / "images")},
        # Pages are the page cache's business then: memcached keeps them for an hour.
        ALL: {**cached, "memcache_enabled": "", **pooled},
    }
    for way in WAYS:
        stage.web.configure(way, {**direct, **changes.get(way, {})})


def named(town: str) -> str:
    """A town's database."""
    return f"bf_{town.lower()}"


def stock(name: str) -> str:
    """The same database without further indexes."""
    return f"{name}_stock"


@contextlib.contextmanager
def doors(stage: Stage) -> Iterator[dict[str, Front]]:
    """The load balancers, each before the site of its way."""
    check = yaml.safe_load((ROLES / "haproxy" / "defaults" / "main.yml").read_text())
    ready = check["haproxy_check"]["content"].encode()
    found: dict[str, Front] = {}
    with contextlib.ExitStack() as opened:
        for way, (pages, pictures) in DOORS.items():
            stage.web.place(way, "platform/ready", ready)
            varnish = Varnish() if pages else None
            haproxy = found[way] = Front(stage.web.ports[way], varnish, pictures)
            for server in (varnish, haproxy) if varnish else (haproxy,):
                opened.enter_context(stage.beside(server))

            def serves(url: str = haproxy.url("index.php")) -> bool:
                return b"Users:" in fetch(url)

            until(serves, f"a page through HAProxy: {way}")
        yield found


def pages(stage: Stage, fronts: Mapping[str, Front], name: str, work: Work, seen: Seen) -> None:
    """Every page by every way in turn, and a file of the same size."""
    paths = {FRONT: "index.php", PICTURE: picture(stage.database, name)}
    stage.web.place("stock", "static.html", fetch(stage.web.url("indexed", paths[FRONT])))
    file = stage.database.sql(f"select picture {SOMEBODY}", name)
    stage.web.place(FILES, f"images/{file}", fetch(stage.web.url("indexed", paths[PICTURE])))
    for number in range(work.rounds):
        for way, (page, path) in itertools.product(WAYS, paths.items()):
            found = seen.costs.setdefault((page, way), [])
            # Where the front page takes half a minute, once has to do.
            if number and found and found[0].seconds > 5 * work.seconds:
                continue
            url = fronts[way].url(path) if way in fronts else stage.web.url(way, path)
            if way == "memcached" or way in fronts:
                fetch(url, EXPECT[page])  # so that it is kept
            renewed = page == FRONT and way in RENEWED and name == named(LARGE)
            seconds = work.lives_seconds if renewed else work.seconds
            found.append(stage.cost(url, EXPECT[page], seconds))
        url = stage.web.url("stock", "static.html")
        seen.static.append(stage.cost(url, EXPECT[FRONT], work.seconds).cpu)


def picture(database: Postgres, name: str) -> str:
    """The page of somebody's picture."""
    return f"showimage.php?user={database.sql(f'select userid {SOMEBODY}', name)}"


def pictures(stage: Stage, name: str, work: Work, seen: Seen) -> None:
    """How many pictures a second the pages send, with and without the pooler, in turn."""
    for _, way in itertools.product(range(work.rounds), ("indexed", "pooler", USUAL)):
        url = stage.web.url(way, picture(stage.database, name))
        rate = requests_per_second(url, work.picture_requests)
        seen.pictures.setdefault(way, []).append(rate)


def requests_per_second(url: str, requests: int) -> float:
    """Eight clients that keep their connections."""
    body = fetch(url, EXPECT[PICTURE])
    command = ["ab", "-q", "-k", "-c", "8", "-n", str(requests), url]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    rate = re.search(r"^Requests per second: +([\d.]+)", done.stdout, re.MULTILINE)
    length = re.search(r"^Document Length: +(\d+)", done.stdout, re.MULTILINE)
    failed = re.search(r"^Failed requests: +(\d+)", done.stdout, re.MULTILINE)
    if not (rate and length and failed) or failed[1] != "0" or int(length[1]) != len(body):
        raise BenchError(f"ab {url}: {done.stdout[-1500:]}{done.stderr[-500:]}")
    return float(rate[1])


def p95_ms(requests: Sequence[Asked]) -> float:
    """Of those that did not fail."""
    ordered = sorted(asked.seconds for asked in requests if not asked.failed)
    return percentile(ordered, 95) * 1000 if ordered else math.nan


def load(url: str, seconds: float, then: Callable[[], object] | None = None) -> list[Asked]:
    """All requests of 32 clients for so long; C(then) is done one second before the end."""
    with tempfile.TemporaryDirectory(prefix="bench-load-") as directory:
        log = Path(directory) / "log"
        with Load([url], clients=CLIENTS, mix="new=1", expect=EXPECT[FRONT], timeout=300, log=log):
            time.sleep(seconds - 1)
            if then is not None:
                then()
            time.sleep(1)
        requests = read_log(log)
    failed = sum(asked.failed for asked in requests)
    if failed or not requests:
        raise BenchError(f"{failed} of {len(requests)} requests failed at {url}")
    return requests


def worst_second(requests: Sequence[Asked]) -> tuple[float, float]:
    """The 95th percentile of the worst second, and of the usual one.

    Without the first second, in which the clients start, and the last one, which is cut off.
    """
    begin, seconds = requests[0].sent, dict[int, list[Asked]]()
    for asked in requests:
        seconds.setdefault(int(asked.sent - begin), []).append(asked)
    found = [p95_ms(seconds.get(n, [])) for n in range(1, max(seconds))]
    whole = [value for value in found if not math.isnan(value)]
    if not whole:
        raise BenchError(f"{len(requests)} requests are too few for seconds")
    return max(whole), statistics.median(whole)


def before_and_after(requests: Sequence[Asked], expired: float) -> tuple[float, float]:
    """The 95th percentile of those that met the moment or came later, and of those before.

    Without the first quarter of these, in which the clients start.
    """
    warm = [asked for asked in requests if asked.sent + asked.seconds < expired]
    cold = [asked for asked in requests if asked.sent + asked.seconds >= expired]
    if not warm or not cold:
        raise BenchError(f"{len(warm)} requests before the cache expired, {len(cold)} after")
    return p95_ms(cold), p95_ms(warm[len(warm) // 4 :])


def expire(stage: Stage, door: Front, work: Work, seen: Seen) -> None:
    """The second in which what a cache holds expires, against the seconds before."""
    expired: list[float] = []

    def expire_all() -> None:
        expired.append(time.time())
        stage.cache.flush()

    requests = load(stage.web.url("memcached", "index.php"), 1 + work.warm_seconds, expire_all)
    seen.expiry["memcached"] = before_and_after(requests, expired[0])
    seen.expiry["page cache"] = worst_second(load(door.url("index.php"), work.kept_seconds))


def freshness(stage: Stage, door: Front, name: str, work: Work, seen: Seen) -> None:
    """From a new post to the front page that shows it."""
    user = stage.database.sql("select userid from users limit 1", name)
    text = f"new at {time.time()}"
    query = urllib.parse.urlencode({"user": user, "post": text})
    fetch(door.url("index.php"), EXPECT[FRONT])
    fetch(door.url(f"addpost.php?{query}"), "Post added")
    begin = time.monotonic()
    while not seen.fresh and time.monotonic() - begin < work.patience:
        seen.fresh = text.encode() in fetch(door.url("index.php"), EXPECT[FRONT])
        time.sleep(0 if seen.fresh else 0.1)
    seen.fresh_seconds = time.monotonic() - begin


# --- The table ----------------------------------------------------------------------------------


def targets(towns: Mapping[str, Seen]) -> list[Row]:
    """The rows that are judged."""
    small, large = towns[SMALL], towns[LARGE]
    times = {
        what: (
            statistics.median(large.statements_ms[what]),
            statistics.median(small.statements_ms[what]),
        )
        for what in TIMED
    }
    worst = max(times, key=lambda what: times[what][0] / times[what][1])
    cpu = [cost.cpu * 1000 for cost in large.costs[FRONT, ALL]]
    static = [seconds * 1000 for seconds in large.static]
    pooled, direct = large.pictures["pooler"], large.pictures["indexed"]
    indexed, before = large.posts["indexed"], large.posts["stock"]
    return [
        Row(
            "sequential scans in the application's statements, indexed, other than count/random",
            sum(seen.scans for seen in towns.values()),
            f"statements, {', '.join(towns)}",
            target="<= 0",
        ),
        Row(
            'buffers read by "latest post of a user", L',
            max(large.buffers),
            f"buffers, most of {len(large.buffers)}",
            target="<= 8",
        ),
        Row(
            "indexed front page statements L / S, time",
            times[worst][0],
            f"ms, the worst: {worst}",
            other=times[worst][1],
            target="<= 3",
        ),
        Row(
            "front 50, L, all levers: CPU / static page of the same size",
            statistics.median(cpu),
            f"ms, {spread(cpu)}, static {spread(static)}",
            other=statistics.median(static),
            target="<= 10",
        ),
        Row(
            "picture with pooler: requests/s / without",
            statistics.median(pooled),
            f"requests/s, {spread(pooled)}, without {spread(direct)}",
            other=statistics.median(direct),
            target=">= 5",
        ),
        Row(
            "expiry second, 32 clients, L: p95 / warm p95",
            large.expiry["page cache"][0],
            "ms, page cache: the worst second / the usual one",
            other=large.expiry["page cache"][1],
            target="<= 10",
        ),
        Row(
            "posts per second indexed / stock",
            statistics.median(indexed),
            f"posts/s, {spread(indexed)}, stock {spread(before)}",
            other=statistics.median(before),
            target=">= 0.85",
        ),
        Row(
            "longest stall of a writer during the build, L",
            large.stall_seconds,
            f"s, in {large.build_seconds:.0f} s; without a build {large.calm_seconds:.3f}",
            target="<= 1",
        ),
        Row(
            "seconds until a new post shows on the front page, all levers",
            large.fresh_seconds,
            "s" if large.fresh else "s, and not even then",
            target="<= 60",
        ),
    ]


def rows_of(town: str, seen: Seen) -> list[Row]:
    """The rows that only tell, of one town."""

    def before(page: str) -> float:
        return statistics.median(cost.cpu * 1000 for cost in seen.costs[page, "stock"])

    rows = [
        Row(f"{town}: {what}, indexed", statistics.median(took), f"ms, {spread(took)}")
        for what, took in seen.statements_ms.items()
    ]
    for page, way in itertools.product((FRONT, PICTURE), WAYS):
        costs = seen.costs[page, way]
        cpu = [cost.cpu * 1000 for cost in costs]
        clock = statistics.median(cost.seconds * 1000 for cost in costs)
        unit = f"ms CPU, {spread(cpu)}, {clock:.1f} ms at one client"
        rows.append(Row(f"{town}, {page}: {way}", statistics.median(cpu), unit, other=before(page)))
    return rows


def bench(work: Work) -> tuple[list[Row], dict[str, str]]:
    """Everything: the rows, and the versions of what was measured."""
    towns: dict[str, Seen] = {}
    with contextlib.closing(Stage(WAYS)) as stage:
        versions = {"postgresql": stage.database.sql("show server_version").split()[0]}
        versions |= stage_versions()
        for town, scale in work.towns.items():
            seen = towns[town] = Seen()
            name = named(town)
            say(f"{town}: {scale.users} users, {scale.posts} posts, {scale.comments} comments")
            seed(stage.database, name, scale)
            stage.database.sql(f"create database {stock(name)} template {name} strategy file_copy")
            say(f"{town}: indexes")
            build(stage, name, scale, work, seen)
            stage.database.sql("vacuum (analyze)", name)
            explain(stage, name, work, seen)
            say(f"{town}: pages")
            pooler = Pooler(stage.database, name, POOLED_USER, pooled_secret())
            usual = Pooler(stage.database, name, USER, PASSWORD)
            with stage.beside(pooler), stage.beside(usual):
                configure(stage, name, pooler, usual)
                stage.cache.flush()
                with doors(stage) as fronts:
                    pages(stage, fronts, name, work, seen)
                    if town == LARGE:
                        pictures(stage, name, work, seen)
                        say(f"{town}: expiry and a new post")
                        expire(stage, fronts[ALL], work, seen)
                        freshness(stage, fronts[ALL], name, work, seen)
            if town == LARGE:
                say(f"{town}: posts")
                for _ in range(work.rounds):
                    for way, where in (("stock", stock(name)), ("indexed", name)):
                        rate, _ = write_posts(stage, where, scale, work.posting_seconds)
                        seen.posts.setdefault(way, []).append(rate)
    rows = targets(towns)
    cold, warm = towns[LARGE].expiry["memcached"]
    rows.append(
        Row("expiry second, 32 clients, L, memcached alone: p95 / warm p95", cold, "ms", other=warm)
    )
    pooled, direct = towns[LARGE].pictures[USUAL], towns[LARGE].pictures["indexed"]
    rows.append(
        Row(
            f"picture with {USUAL}: requests/s / without",
            statistics.median(pooled),
            f"requests/s, {spread(pooled)}, without {spread(direct)}",
            other=statistics.median(direct),
        )
    )
    for town, seen in towns.items():
        rows += rows_of(town, seen)
    return rows, versions


def stage_versions() -> dict[str, str]:
    """Versions as Debian names them."""
    packages = ("apache2-bin", "haproxy", "libapache2-mod-php", "memcached", "pgbouncer", "varnish")
    command = ["dpkg-query", "-W", "-f", "${Version}\n"]
    done = subprocess.run([*command, *packages], check=False, capture_output=True, text=True)
    return dict(zip(packages, done.stdout.split(), strict=False))


def say(text: str) -> None:
    """Progress for who waits."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(report.run("database", lambda quick: bench(QUICK if quick else FULL)))
