<?php
// The picture of the user ?user=ID, as JPEG.
require __DIR__ . '/common.php';
require __DIR__ . '/config.php';

try {
    $user = bf_param('user');
    bf_send_picture(
        'bookface:user-picture:' . md5($user),
        static fn (PDO $dbh): mixed =>
            bf_query($dbh, 'select picture from users where userID = ?', $user)->fetchColumn()
    );
} catch (Throwable $e) {
    bf_print_exception($e);
}
