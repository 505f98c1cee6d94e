<?php
// The front page. Its cost is the point: two random picks and three counts over whole tables, and
// one query for the latest post of every user shown.
require __DIR__ . '/common.php';
require __DIR__ . '/config.php';

const FRONT_PAGE_SECONDS = 3600;

function front_page(PDO $dbh, int $limit, string $cutoff): string
{
    $random_user = $dbh->query('select userID from users order by random() limit 1')->fetchColumn();
    $random_author = $dbh->query('select userID from posts order by random() limit 1')->fetchColumn();
    $totals = [
        'Users:' => $dbh->query('select count(*) from users')->fetchColumn(),
        'Posts:' => $dbh->query('select count(*) from posts')->fetchColumn(),
        'Comments:' => $dbh->query('select count(*) from comments')->fetchColumn(),
    ];

    $html = "<table class=\"totals\">\n";
    foreach ($totals as $what => $number) {
        $html .= "<tr><th>$what</th><td>" . bf_html($number) . "</td></tr>\n";
    }
    $html .= "</table>\n<ul class=\"picks\">\n";
    foreach (['Somebody you may know' => $random_user, 'Author of a post' => $random_author] as $what => $id) {
        if ($id !== false) {
            $html .= '<li><a href="showuser.php?user=' . bf_url($id) . "\">$what</a></li>\n";
        }
    }
    $html .= "</ul>\n<div class=\"users\">\n";

    $columns = 'select userID,name,status,posts,comments,lastPostDate,picture from users';
    $users = $cutoff === ''
        ? bf_query($dbh, "$columns order by lastPostDate desc limit ?", $limit)
        : bf_query($dbh, "$columns where lastPostDate >= ? order by lastPostDate desc limit ?", $cutoff, $limit);
    foreach ($users->fetchAll() as $user) {
        $html .= front_page_user($dbh, $user);
    }
    return $html . "</div>\n";
}

function front_page_user(PDO $dbh, array $user): string
{
    $latest = bf_query(
        $dbh,
        'select postid,text,postdate,image from posts where userid = ? order by postdate desc limit 1',
        $user['userid']
    )->fetch();

    $id = bf_url($user['userid']);
    $html = "<article>\n<img src=\"showimage.php?user=$id\" alt=\"\" loading=\"lazy\">\n"
        . "<h2><a href=\"showuser.php?user=$id\">" . bf_html($user['name']) . '</a></h2>'
        . '<p class="numbers">' . (int) $user['posts'] . ' posts, ' . (int) $user['comments']
        . " comments</p>\n";
    if ($latest !== false) {
        $html .= '<p>' . bf_html($latest['text']) . '</p>';
        if ((string) $latest['image'] !== '') {
            $html .= '<img src="postimage.php?image=' . bf_url($latest['image']) . '" alt="" loading="lazy">';
        }
        $html .= '<time>' . bf_html($latest['postdate']) . "</time>\n";
    }
    return $html . "</article>\n";
}

bf_header('bookface');
try {
    // Connecting comes before the cache: a front page without a database is never a good one.
    $dbh = bf_connect($dbpassw ?? null);
    $limit = (int) ($frontpage_limit ?? 1000);
    $days = (string) ($use_activity_cutoff_days ?? '');
    $cutoff = $days === '' ? '' : gmdate('Y-m-d H:i:sP', time() - (int) (86400 * (float) $days));

    $cache = bf_param('nomemcache') === '' ? bf_cache($memcache_enabled ?? '') : null;
    $key = 'bookface:front:' . md5(serialize([$dbhost ?? '', $dbport ?? '', $db ?? '', $limit, $days]));
    $html = bf_cache_get($cache, $key);
    if ($html === null) {
        $html = front_page($dbh, $limit, $cutoff);
        bf_cache_set($cache, $key, $html, FRONT_PAGE_SECONDS);
    }
    echo $html;
} catch (Throwable $e) {
    bf_print_exception($e);
}
bf_footer();
