<?php
// ?user=ID&post=TEXT. The counter is read and written back, not incremented: two posts at the same
// time may count as one. bookface does so, and whoever tests writes has to know.
require __DIR__ . '/common.php';
require __DIR__ . '/config.php';

bf_header('bookface new post');
try {
    $user = bf_param('user');
    $text = bf_param('post');
    if ($user === '' || $text === '') {
        throw new RuntimeException('A post needs a user and a text.');
    }
    $dbh = bf_connect();
    $row = bf_query($dbh, 'select posts from users where userID = ?', $user)->fetch();
    if ($row === false) {
        throw new RuntimeException('User not found.');
    }
    bf_query(
        $dbh,
        'update users set posts = ?, lastpostdate = ? where userID = ?',
        (int) $row['posts'] + 1,
        gmdate('Y-m-d H:i:sP'),
        $user
    );
    bf_query($dbh, 'insert into posts (userID,text) values (?,?)', $user, $text);
    echo '<p>Post added. <a href="showuser.php?user=', bf_url($user), "\">Profile</a></p>\n";
} catch (Throwable $e) {
    bf_print_exception($e);
}
bf_footer();
