<?php
// Totals, one "name: number" a line for scripts, and a table of all users.
require __DIR__ . '/common.php';
require __DIR__ . '/config.php';

bf_header('bookface users');
try {
    $dbh = bf_connect();
    echo "<pre>\n";
    foreach (['users', 'posts', 'comments'] as $table) {
        echo $table, ': ', bf_html($dbh->query("select count(*) from $table")->fetchColumn()), "\n";
    }
    echo "</pre>\n<table>\n<tr><th>id</th><th>name</th><th>posts</th><th>comments</th></tr>\n";
    foreach ($dbh->query('select userID,name,posts,comments from users order by name') as $user) {
        $id = $user['userid'];
        echo '<tr><td>', bf_html($id), '</td><td><a href="showuser.php?user=', bf_url($id), '">',
            bf_html($user['name']), '</a></td><td>', (int) $user['posts'], '</td><td>',
            (int) $user['comments'], "</td></tr>\n";
    }
    echo "</table>\n";
} catch (Throwable $e) {
    bf_print_exception($e);
}
bf_footer();
