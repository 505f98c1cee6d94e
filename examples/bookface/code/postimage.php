<?php
// The picture ?image=ID of a post, as JPEG.
require __DIR__ . '/common.php';
require __DIR__ . '/config.php';

try {
    $image = bf_param('image');
    bf_send_picture('bookface:picture:' . md5($image), static fn (PDO $dbh): string => $image);
} catch (Throwable $e) {
    bf_print_exception($e);
}
