"""Every page, in both styles of configuration, against a real database with real passwords."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from .conftest import Sites, complaint
from .support import (
    CODE,
    DB_PASSWORD,
    JPEG,
    LOOPBACK,
    POST_JPEG,
    Cluster,
    Database,
    Site,
    black_hole,
    free_port,
    write_config_json,
    write_config_php,
)

Start = Callable[..., Site]
Write = Callable[[Path, Mapping[str, object]], None]

# Every page that asks the database, with a request that it would answer.
DATABASE_PAGES = {
    "index.php": {},
    "showuser.php": {"user": "u-ada"},
    "showimage.php": {"user": "u-ada"},
    "postimage.php": {"image": "post.jpg"},
    "showallusers.php": {},
    "newuser.php": {"user": "Grace"},
    "adduser.php": {"name": "Grace"},
    "addpost.php": {"user": "u-ada", "post": "Hello"},
    "addcomment.php": {"user": "u-ada", "postID": "p-old", "comment": "Hello"},
}


@pytest.fixture(scope="module", params=[write_config_json, write_config_php])
def write(request: pytest.FixtureRequest) -> Write:
    """Both styles of configuration, in turn."""
    style: Write = request.param
    return style


@pytest.fixture(scope="module")
def standing(
    write: Write, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A site for all tests without settings of their own: it keeps nothing between requests."""
    place = tmp_path_factory.mktemp("standing")
    database = Database(cluster, "bf", 0)
    env, settings = database.passfile(place / "pgpass"), database.settings()
    sites = Sites(place)
    yield sites.start(lambda root: write(root, settings), env)
    sites.stop()


@pytest.fixture
def start(write: Write, sites: Sites, database: Database, tmp_path: Path) -> Start:
    """Return a function that starts a site on the test's database, with settings of its own."""

    def start(php_options: list[str] | None = None, **changes: object) -> Site:
        env = database.passfile(tmp_path / "pgpass")
        settings = database.settings(**changes)
        return sites.start(lambda root: write(root, settings), env, php_options)

    return start


@pytest.fixture
def site(standing: Site, database: Database) -> Iterator[Site]:
    """The standing site on the test's database, about whose code PHP must not complain."""
    assert database.name == "bf"
    before = len(standing.log())
    yield standing
    assert not complaint(standing.log()[before:])


@pytest.fixture
def picture_url() -> Iterator[str]:
    """Serve a JPEG, and something else below /page."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>" if self.path == "/page" else JPEG)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer((LOOPBACK, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://{LOOPBACK}:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_front_page(site: Site) -> None:
    page = site.get("")
    assert page.status == 200
    for total, number in (("Users:", 3), ("Posts:", 2), ("Comments:", 2)):
        assert re.search(rf"<th>{total}</th><td>{number}</td>", page.text)
    assert page.text.index(">Ada<") < page.text.index(">Bob<") < page.text.index(">Eve<")
    assert '<img src="showimage.php?user=u-ada"' in page.text
    assert '<img src="postimage.php?image=post.jpg"' in page.text
    assert "The newest post" in page.text
    assert "The older post" not in page.text
    assert 'href="http://bookface.example/index.php"' in page.text


def test_front_page_sends_the_statements_that_optimizers_are_measured_on(
    site: Site, database: Database
) -> None:
    site.get("index.php")
    latest = (
        "select postid,text,postdate,image from posts where userid = '{}'"
        " order by postdate desc limit 1"
    )
    assert database.statements() == [
        "select userID from users order by random() limit 1",
        "select userID from posts order by random() limit 1",
        "select count(*) from users",
        "select count(*) from posts",
        "select count(*) from comments",
        "select userID,name,status,posts,comments,lastPostDate,picture from users"
        " order by lastPostDate desc limit 1000",
        latest.format("u-ada"),
        latest.format("u-bob"),
        latest.format("u-eve"),
    ]


def test_front_page_limit(start: Start) -> None:
    page = start(frontpage_limit=1).get("index.php")
    assert ">Ada<" in page.text
    assert ">Bob<" not in page.text


def test_front_page_activity_cutoff(start: Start, database: Database) -> None:
    database.sql("update users set lastPostDate = now() - interval '36 hours' where name = 'Bob'")
    page = start(use_activity_cutoff_days=2).get("index.php")
    assert ">Bob<" in page.text
    assert ">Ada<" not in page.text
    cut = [text for text in database.statements() if "where lastPostDate >= '" in text]
    assert len(cut) == 1


def test_front_page_of_an_empty_site(site: Site, database: Database) -> None:
    database.sql("truncate users, posts, comments, pictures")
    page = site.get("index.php")
    assert "<th>Users:</th><td>0</td>" in page.text
    assert "error" not in page.text
    assert "showuser.php" not in page.text


def test_front_page_bypass_of_the_cache_works_without_a_cache(site: Site) -> None:
    assert "<th>Users:</th><td>3</td>" in site.get("index.php", {"nomemcache": "1"}).text


def test_profile(site: Site, database: Database) -> None:
    page = site.get("showuser.php", {"user": "u-ada"})
    assert page.status == 200
    assert "<h1>Ada</h1>" in page.text
    assert "36 years old" in page.text
    assert "Counts &amp; computes" in page.text
    texts = ["The newest post", "The older post", "First comment", "Second comment"]
    places = [page.text.index(text) for text in texts]
    assert places == sorted(places)
    assert "showuser.php?user=u-bob" in page.text

    comments = "select commentid,userid,text,postdate from comments where postid = '{}'"
    author = "select userID,name from users where userID = '{}'"
    assert database.statements()[1:] == [
        "select postid,text,postdate,image from posts where userid = 'u-ada'"
        " order by postdate desc",
        comments.format("p-new") + " order by postdate asc",
        comments.format("p-old") + " order by postdate asc",
        author.format("u-bob"),
        author.format("u-ada"),
    ]


@pytest.mark.parametrize("user", ["nobody", "", "u-ada' or '1'='1", "u-ada'; drop table users; --"])
def test_profile_of_an_unknown_user(site: Site, database: Database, user: str) -> None:
    page = site.get("showuser.php", {"user": user})
    assert page.status == 200
    assert "User not found." in page.text
    assert database.sql("select count(*) from users") == "3"


def test_pictures(site: Site, database: Database) -> None:
    picture = site.get("showimage.php", {"user": "u-ada"})
    assert (picture.status, picture.headers["Content-Type"]) == (200, "image/jpeg")
    assert picture.body == JPEG
    assert database.statements() == [
        "select picture from users where userID = 'u-ada'",
        "select picture from pictures where pictureid = 'ada.jpg'",
    ]
    picture = site.get("postimage.php", {"image": "post.jpg"})
    assert (picture.status, picture.headers["Content-Type"]) == (200, "image/jpeg")
    assert picture.body == POST_JPEG


@pytest.mark.parametrize(
    ("page", "query"),
    [
        ("showimage.php", {"user": "0"}),
        ("showimage.php", {"user": "u-bob"}),  # who has no picture
        ("showimage.php", {}),
        ("postimage.php", {"image": "none.jpg"}),
        ("postimage.php", {}),
    ],
)
def test_unknown_picture(site: Site, page: str, query: dict[str, str]) -> None:
    answer = site.get(page, query)
    assert answer.status == 404
    assert answer.text == "Image not found."


def test_picture_that_is_no_hexadecimal_text(site: Site) -> None:
    answer = site.get("showimage.php", {"user": "u-eve"})
    assert answer.status == 200
    assert "not hexadecimal" in answer.text


def test_all_users(site: Site) -> None:
    page = site.get("showallusers.php")
    assert page.status == 200
    for line in ("users: 3", "posts: 2", "comments: 2"):
        assert line in page.text.splitlines()
    assert "<td>u-ada</td>" in page.text
    assert ">Bob</a></td>" in page.text


def test_new_user_with_picture(site: Site, database: Database, picture_url: str) -> None:
    page = site.get("newuser.php", {"user": "Grace", "image": f"{picture_url}/picture"})
    assert page.status == 200
    user = re.search(r"showuser\.php\?user=([0-9a-f-]{36})", page.text)
    assert user, page.text
    assert site.get("showimage.php", {"user": user[1]}).body == JPEG
    stored = (
        "select encode(p.picture, 'escape') from pictures p join users u on u.picture = pictureid"
    )
    assert database.sql(f"{stored} where name = 'Grace'") == JPEG.hex()
    assert database.sql("select posts, comments from users where name = 'Grace'") == "0|0"


@pytest.mark.parametrize("image", ["{url}/page", "{path}", "file://{path}", "data:,{path}"])
def test_new_user_with_a_picture_that_is_none(
    site: Site, database: Database, picture_url: str, image: str, tmp_path: Path
) -> None:
    private = tmp_path / "private.jpg"
    private.write_bytes(JPEG)  # a picture indeed, but not the visitor's to name
    address = image.format(url=picture_url, path=private)
    page = site.get("newuser.php", {"user": "Grace", "image": address})
    assert page.status == 200
    assert "The image " in page.text
    assert database.sql("select count(*) from users") == "3"
    assert database.sql("select count(*) from pictures") == "3"


@pytest.mark.parametrize("method", ["query", "form"])
def test_add_user(site: Site, database: Database, method: str) -> None:
    values = {"name": "Grace", "age": "85", "bio": "Compiles", "uuid": "u-grace"}
    if method == "query":
        page = site.get("adduser.php", values)
    else:
        page = site.get("adduser.php", form=values)
    assert page.status == 200
    assert "User added" in page.text
    added = database.sql("select name, age, bio from users where userID = 'u-grace'")
    assert added == "Grace|85|Compiles"


def test_add_user_twice_prints_the_exception(site: Site, database: Database) -> None:
    page = site.get("adduser.php", {"name": "Ada", "uuid": "u-ada"})
    assert page.status == 200
    assert "duplicate key" in page.text
    assert database.sql("select count(*) from users") == "3"


def test_pictures_in_a_local_directory(
    start: Start, database: Database, picture_url: str, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    site = start(use_local_images=1, imagepath=str(images))
    site.get("adduser.php", {"name": "Grace", "uuid": "u-grace", "image": f"{picture_url}/picture"})
    assert [path.read_bytes() for path in images.iterdir()] == [JPEG]
    assert site.get("showimage.php", {"user": "u-grace"}).body == JPEG
    assert database.sql("select count(*) from pictures") == "3"
    (tmp_path / "secret").write_text("secret")
    assert site.get("postimage.php", {"image": "../secret"}).status == 404


def test_add_post(site: Site, database: Database) -> None:
    page = site.get("addpost.php", {"user": "u-ada", "post": "Fresh words"})
    assert page.status == 200
    assert "Post added" in page.text
    assert "Fresh words" in site.get("index.php").text
    assert database.sql("select posts from users where userID = 'u-ada'") == "3"
    moved = "select lastPostDate > now() - interval '1 minute' from users where userID = 'u-ada'"
    assert database.sql(moved) == "t"
    sent = [text for text in database.statements() if text.startswith("update")]
    assert len(sent) == 1
    assert re.fullmatch(
        r"update users set posts = '?3'?, lastpostdate = '.+' where userID = 'u-ada'", sent[0]
    )


def test_add_post_of_an_unknown_user(site: Site, database: Database) -> None:
    page = site.get("addpost.php", {"user": "nobody", "post": "Fresh words"})
    assert page.status == 200
    assert "User not found." in page.text
    assert database.sql("select count(*) from posts") == "2"


def test_add_comment(site: Site, database: Database) -> None:
    page = site.get("addcomment.php", {"user": "u-bob", "postID": "p-new", "comment": "Well said"})
    assert page.status == 200
    assert "Comment added" in page.text
    assert "Well said" in site.get("showuser.php", {"user": "u-ada"}).text
    assert database.sql("select comments from users where userID = 'u-bob'") == "1"


@pytest.mark.parametrize("page", ["newuser.php", "adduser.php", "addpost.php", "addcomment.php"])
def test_write_without_parameters_writes_nothing(site: Site, database: Database, page: str) -> None:
    answer = site.get(page)
    assert answer.status == 200
    assert " needs a " in answer.text
    assert database.statements() == []


def test_import_says_that_it_does_not(site: Site) -> None:
    answer = site.get("import.php", {"entrypoint": "old.example", "key": "k"})
    assert answer.status == 501
    assert "does not import" in answer.text


@pytest.mark.parametrize("style", ["stylesheet.css", "showuser.css"])
def test_stylesheets(site: Site, style: str) -> None:
    answer = site.get(style)
    assert answer.headers["Content-Type"].startswith("text/css")
    assert answer.body == (CODE / style).read_bytes()


def test_html_is_escaped(site: Site) -> None:
    evil = "<script>alert('\"&')</script>"
    site.get("adduser.php", {"name": evil, "uuid": "u-'\"<b>", "bio": evil})
    site.get("addpost.php", {"user": "u-'\"<b>", "post": evil})
    assert (
        "Comment added"
        in site.get("addcomment.php", {"user": "u-'\"<b>", "postID": "p-old", "comment": evil}).text
    )
    seen = ""
    for page, query in (
        ("index.php", {}),
        ("showuser.php", {"user": "u-'\"<b>"}),
        ("showuser.php", {"user": "u-ada"}),
        ("showallusers.php", {}),
        ("adduser.php", {"name": "x", "age": "<b>"}),  # PostgreSQL quotes it in its complaint
    ):
        text = site.get(page, query).text
        assert "<script" not in text, page
        assert "<b>" not in text, page
        assert "u-'" not in text, page
        seen += text
    assert seen.count("&lt;script&gt;alert(&apos;&quot;&amp;&apos;)&lt;/script&gt;") >= 5
    assert "&lt;b&gt;" in seen


@pytest.mark.parametrize("query", ["user=u-ada%ff", "user=u-ada%00", "user[]=u-ada"])
def test_what_is_no_text_counts_as_absent(site: Site, database: Database, query: str) -> None:
    page = site.get(f"showuser.php?{query}")
    assert page.status == 200
    assert "User not found." in page.text
    answer = site.get(f"addpost.php?{query.replace('user', 'post')}&user=u-ada")
    assert "needs a user and a text" in answer.text
    assert database.sql("select posts from users where userID = 'u-ada'") == "2"


def test_every_page_says_which_host_served_it(site: Site) -> None:
    for page in [*DATABASE_PAGES, "import.php"]:
        assert site.get(page).headers["X-Bookface-Host"] == socket.gethostname(), page
    covered = {*DATABASE_PAGES, "import.php", "common.php", "config.php"}
    assert covered == {path.name for path in CODE.glob("*.php")}


def test_every_page_answers_200_when_the_database_is_down(start: Start) -> None:
    site = start(dbport=free_port())
    for page, query in DATABASE_PAGES.items():
        answer = site.get(page, query)
        assert answer.status == 200, page
        assert "Connection refused" in answer.text, page
        assert "SQLSTATE[08006]" in answer.text, page
        assert "Users:" not in answer.text, page
        assert answer.headers["X-Bookface-Host"] == socket.gethostname()
        assert answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("style", [write_config_json, write_config_php])
def test_only_the_front_page_passes_the_password(
    sites: Sites,
    database: Database,
    tmp_path: Path,
    style: Callable[[Path, Mapping[str, object]], None],
) -> None:
    def works(site: Site) -> dict[str, bool]:
        return {
            page: "SQLSTATE[08006]" not in site.get(page, query).text
            for page, query in DATABASE_PAGES.items()
        }

    def configured(**changes: object) -> Callable[[Path], None]:
        return lambda root: style(root, database.settings(**changes))

    right, wrong, none = configured(), configured(dbpassw="wrong"), configured(dbpassw="")
    passfile = database.passfile(tmp_path / "pgpass")
    others = dict.fromkeys(DATABASE_PAGES, True)

    assert works(sites.start(right)) == {**dict.fromkeys(DATABASE_PAGES, False), "index.php": True}
    assert works(sites.start(wrong, passfile)) == {**others, "index.php": False}
    assert works(sites.start(right, passfile)) == others
    assert works(sites.start(right, {"PGPASSWORD": DB_PASSWORD})) == others
    assert works(sites.start(none, passfile)) == others
    # An empty password still is one to the front page, which shuts PGPASSWORD out there.
    given = {"PGPASSWORD": DB_PASSWORD}
    assert works(sites.start(none, given)) == {**others, "index.php": False}


def test_without_memcache_extension_the_cache_is_left_out(start: Start, cache: str) -> None:
    bare = ["-n", "-d", "extension=pdo.so", "-d", "extension=pdo_pgsql.so"]
    site = start(bare, memcache_server=cache, memcache_enabled=1, memcache_enabled_pictures=1)
    assert "<th>Users:</th><td>3</td>" in site.get("index.php").text
    assert site.get("showimage.php", {"user": "u-ada"}).body == JPEG


def test_cache(start: Start, database: Database, cache: str) -> None:
    site = start(memcache_server=cache, memcache_enabled=1, memcache_enabled_pictures=1)
    assert "<th>Users:</th><td>3</td>" in site.get("index.php").text
    assert site.get("showimage.php", {"user": "u-ada"}).body == JPEG
    assert site.get("postimage.php", {"image": "post.jpg"}).body == POST_JPEG

    database.sql("truncate pictures; insert into users (userID, name) values ('u-new', 'New')")
    assert "<th>Users:</th><td>3</td>" in site.get("index.php").text
    assert "<th>Users:</th><td>4</td>" in site.get("index.php", {"nomemcache": "1"}).text
    assert site.get("showimage.php", {"user": "u-ada"}).body == JPEG
    assert site.get("postimage.php", {"image": "post.jpg"}).body == POST_JPEG


def test_cache_of_pages_alone(start: Start, database: Database, cache: str) -> None:
    site = start(memcache_server=cache, memcache_enabled=1)
    assert site.get("showimage.php", {"user": "u-ada"}).body == JPEG
    database.sql("truncate pictures")
    assert site.get("showimage.php", {"user": "u-ada"}).status == 404


def test_a_cached_front_page_does_not_hide_a_lost_database(
    start: Start, database: Database, cache: str
) -> None:
    site = start(memcache_server=cache, memcache_enabled=1)
    assert "Users:" in site.get("index.php").text
    database.sql(f"revoke connect on database {database.name} from public")
    try:
        page = site.get("index.php")
    finally:
        database.sql(f"grant connect on database {database.name} to public")
    assert page.status == 200
    assert "Users:" not in page.text
    assert "permission denied for database" in page.text


def test_a_dead_cache_fails_no_page(start: Start) -> None:
    site = start(memcache_server="127.0.0.1", memcache_enabled=1, memcache_enabled_pictures=1)
    assert "<th>Users:</th><td>3</td>" in site.get("index.php").text
    assert site.get("showimage.php", {"user": "u-ada"}).body == JPEG


def test_black_hole_is_one() -> None:
    with black_hole() as port, socket.socket() as client:
        client.settimeout(0.5)
        with pytest.raises(socket.timeout):
            client.connect((LOOPBACK, port))
