<?php
// Makes a user: name (or user), age, bio, uuid (the user's id; the database makes one by default),
// image (the address of a JPEG, or a file sent in a form). Like all writes here it may be a GET.
require __DIR__ . '/common.php';
require __DIR__ . '/config.php';

const PICTURE_BYTES = 4 * 1024 * 1024;
const PICTURE_SECONDS = 5;

// The JPEG that came with the request, or null if none did.
function requested_picture(): ?string
{
    $url = bf_param('image');
    if (is_string($_FILES['image']['tmp_name'] ?? null) && $_FILES['image']['tmp_name'] !== '') {
        $jpeg = file_get_contents($_FILES['image']['tmp_name'], length: PICTURE_BYTES + 1);
    } elseif ($url === '') {
        return null;
    } elseif (preg_match('#^https?://#i', $url)) {
        $context = stream_context_create(['http' => ['timeout' => PICTURE_SECONDS, 'max_redirects' => 3]]);
        $jpeg = @file_get_contents($url, false, $context, 0, PICTURE_BYTES + 1);
    } else {
        throw new RuntimeException('The image must be an http or https address.');
    }
    if ($jpeg === false || strlen($jpeg) > PICTURE_BYTES || !str_starts_with($jpeg, "\xFF\xD8\xFF")) {
        throw new RuntimeException('The image is no JPEG, is too large or could not be fetched.');
    }
    return $jpeg;
}

function store_picture(PDO $dbh, string $jpeg): string
{
    $name = bin2hex(random_bytes(16)) . '.jpg';
    if (!($GLOBALS['use_local_images'] ?? 0)) {
        bf_query($dbh, 'insert into pictures (pictureID,picture) values (?,?)', $name, bin2hex($jpeg));
    } elseif (@file_put_contents(bf_picture_file($name), $jpeg) === false) {
        throw new RuntimeException('The picture could not be written to the image directory.');
    }
    return $name;
}

bf_header('bookface new user');
try {
    $name = bf_param('name') !== '' ? bf_param('name') : bf_param('user');
    if ($name === '') {
        throw new RuntimeException('A user needs a name.');
    }
    $jpeg = requested_picture();
    $user = ['name' => $name, 'posts' => 0, 'comments' => 0];
    foreach (['age' => 'age', 'bio' => 'bio', 'uuid' => 'userID'] as $parameter => $column) {
        if (bf_param($parameter) !== '') {
            $user[$column] = bf_param($parameter);
        }
    }

    $dbh = bf_connect();
    $dbh->beginTransaction();  // a user with the picture, or neither: nobody may delete the rest
    if ($jpeg !== null) {
        $user['picture'] = store_picture($dbh, $jpeg);
    }
    $id = bf_query(
        $dbh,
        'insert into users (' . implode(',', array_keys($user)) . ') values ('
            . implode(',', array_fill(0, count($user), '?')) . ') returning userID',
        ...array_values($user)
    )->fetchColumn();
    $dbh->commit();
    echo '<p>User added: <a href="showuser.php?user=', bf_url($id), '">', bf_html($id), "</a></p>\n";
} catch (Throwable $e) {
    bf_print_exception($e);
}
bf_footer();
