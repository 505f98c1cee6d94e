<?php
// One user's profile: posts, newest first, each with its comments.
require __DIR__ . '/common.php';
require __DIR__ . '/config.php';

function show_comment(PDO $dbh, array $comment): void
{
    $author = bf_query($dbh, 'select userID,name from users where userID = ?', $comment['userid'])->fetch();
    echo '<li><a href="showuser.php?user=', bf_url($comment['userid']), '">',
        bf_html($author === false ? 'somebody' : $author['name']), '</a>: ',
        bf_html($comment['text']), "</li>\n";
}

function show_post(PDO $dbh, array $post): void
{
    echo '<article><p>', bf_html($post['text']), '</p>';
    if ((string) $post['image'] !== '') {
        echo '<img src="postimage.php?image=', bf_url($post['image']), '" alt="">';
    }
    echo '<time>', bf_html($post['postdate']), "</time>\n<ul class=\"comments\">\n";
    $comments = bf_query(
        $dbh,
        'select commentid,userid,text,postdate from comments where postid = ? order by postdate asc',
        $post['postid']
    );
    foreach ($comments->fetchAll() as $comment) {
        show_comment($dbh, $comment);
    }
    echo "</ul></article>\n";
}

bf_header('bookface profile', 'showuser.css');
try {
    $dbh = bf_connect();
    $user = bf_query(
        $dbh,
        'select userID,name,age,bio,status,posts,comments,lastPostDate,picture from users where userID = ?',
        bf_param('user')
    )->fetch();
    if ($user === false) {
        echo "<p>User not found.</p>\n";
    } else {
        echo '<section class="profile"><img src="showimage.php?user=', bf_url($user['userid']),
            '" alt=""><h1>', bf_html($user['name']), '</h1>',
            $user['age'] === null ? '' : '<p>' . (int) $user['age'] . ' years old</p>',
            '<p>', bf_html($user['bio']), "</p></section>\n";
        $posts = bf_query(
            $dbh,
            'select postid,text,postdate,image from posts where userid = ? order by postdate desc',
            $user['userid']
        );
        foreach ($posts->fetchAll() as $post) {
            show_post($dbh, $post);
        }
    }
} catch (Throwable $e) {
    bf_print_exception($e);
}
bf_footer();
