<?php
// ?user=ID&postID=ID&comment=TEXT. The author's counter of comments stays as it is, as in bookface.
require __DIR__ . '/common.php';
require __DIR__ . '/config.php';

bf_header('bookface new comment');
try {
    $comment = [bf_param('user'), bf_param('postID'), bf_param('comment')];
    if (in_array('', $comment, true)) {
        throw new RuntimeException('A comment needs a user, a post and a text.');
    }
    bf_query(bf_connect(), 'insert into comments (userID,postID,text) values (?,?,?)', ...$comment);
    echo "<p>Comment added.</p>\n";
} catch (Throwable $e) {
    bf_print_exception($e);
}
bf_footer();
