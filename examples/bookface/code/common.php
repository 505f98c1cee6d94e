<?php
// What the pages share. The configuration comes in as the global variables of config.php; each has
// a default here or in the page, because a site's own config.php may set only some of them.

// Which machine or container served this page: tests and humans behind a load balancer ask.
header('X-Bookface-Host: ' . gethostname());

// Buffered, because a site's config.php may well print an empty line after its closing tag, and
// neither headers nor pictures stand that.
ob_start();

function bf_html(mixed $text): string
{
    return htmlspecialchars((string) $text, ENT_QUOTES | ENT_SUBSTITUTE | ENT_HTML5, 'UTF-8');
}

// An id as part of an address; nothing of it is special in HTML.
function bf_url(mixed $id): string
{
    return rawurlencode((string) $id);
}

// A request parameter as text; POST wins over GET. An array counts as absent, and so does what is
// no text to PostgreSQL: PDO sends an empty statement in its place, and that one succeeds.
function bf_param(string $name): string
{
    $value = $_POST[$name] ?? $_GET[$name] ?? '';
    $is_text = is_string($value) && preg_match('//u', $value) && !str_contains($value, "\0");
    return $is_text ? $value : '';
}

// Only index.php passes a password. For the other pages libpq looks into PGPASSWORD or PGPASSFILE.
function bf_connect(#[SensitiveParameter] ?string $password = null): PDO
{
    $dsn = 'pgsql:sslmode=disable';
    $target = [
        'host' => $GLOBALS['dbhost'] ?? 'localhost',
        'port' => $GLOBALS['dbport'] ?? 26257,
        'dbname' => $GLOBALS['db'] ?? 'bf',
    ];
    foreach ($target as $key => $value) {
        $dsn .= ";$key='" . addcslashes((string) $value, "'\\") . "'";
    }
    return new PDO($dsn, $GLOBALS['dbuser'] ?? 'bfuser', $password, [
        PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
        PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC,
        // The statement travels as one text, so that transaction poolers may stand in between.
        PDO::ATTR_EMULATE_PREPARES => true,
    ]);
}

function bf_query(PDO $dbh, string $sql, mixed ...$values): PDOStatement
{
    $statement = $dbh->prepare($sql);
    foreach ($values as $i => $value) {
        $statement->bindValue($i + 1, $value, is_int($value) ? PDO::PARAM_INT : PDO::PARAM_STR);
    }
    $statement->execute();
    return $statement;
}

// memcached, if the given switch is on and PHP has either of its two extensions; null otherwise.
function bf_cache(mixed $enabled): ?object
{
    $server = (string) ($GLOBALS['memcache_server'] ?? '');
    $class = class_exists('Memcache') ? 'Memcache' : 'Memcached';
    if (!$enabled || $server === '' || !class_exists($class)) {
        return null;
    }
    $cache = new $class();
    @$cache->addServer($server, 11211);  // some releases of the extension emit deprecations
    return $cache;
}

// A cache that is out of order is a cache that misses: no page fails for it.
function bf_cache_get(?object $cache, string $key): ?string
{
    $value = $cache === null ? null : @$cache->get($key);
    return is_string($value) ? $value : null;
}

function bf_cache_set(?object $cache, string $key, string $value, int $seconds): void
{
    if ($cache instanceof Memcache) {
        @$cache->set($key, $value, 0, $seconds);
    } elseif ($cache !== null) {
        @$cache->set($key, $value, $seconds);
    }
}

// Sends the JPEG that $find names, or 404 if the database answered and knows none.
// $find gets the connection and returns a picture's name, or null.
function bf_send_picture(string $cache_key, callable $find): void
{
    ob_clean();
    $cache = bf_cache($GLOBALS['memcache_enabled_pictures'] ?? '');
    $jpeg = bf_cache_get($cache, $cache_key);
    if ($jpeg === null) {
        $dbh = bf_connect();
        $name = (string) $find($dbh);
        $jpeg = $name === '' ? null : bf_load_picture($dbh, $name);
        if ($jpeg === null) {
            http_response_code(404);
            echo 'Image not found.';
            return;
        }
        $minutes = (int) ($GLOBALS['memcache_picture_keep_minutes'] ?? 60);
        bf_cache_set($cache, $cache_key, $jpeg, 60 * $minutes);
    }
    header('Content-Type: image/jpeg');
    header('Content-Length: ' . strlen($jpeg));
    echo $jpeg;
}

function bf_load_picture(PDO $dbh, string $name): ?string
{
    if ($GLOBALS['use_local_images'] ?? 0) {
        $bytes = @file_get_contents(bf_picture_file($name));
        return $bytes === false ? null : $bytes;
    }
    $picture = bf_query($dbh, 'select picture from pictures where pictureid = ?', $name)->fetchColumn();
    if ($picture === false || $picture === null) {
        return null;
    }
    // The column holds hexadecimal text, and PDO hands a bytea out as a stream.
    $jpeg = @hex2bin(is_resource($picture) ? stream_get_contents($picture) : $picture);
    return $jpeg === false ? throw new RuntimeException('The picture is not hexadecimal text.') : $jpeg;
}

function bf_picture_file(string $name): string
{
    return ($GLOBALS['imagepath'] ?? '/var/www/html/images') . '/' . basename($name);
}

function bf_header(string $title, string $extra_css = ''): void
{
    $home = 'http://' . ($GLOBALS['webhost'] ?? 'localhost') . '/index.php';
    echo "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
        '<title>', bf_html($title), "</title>\n",
        "<link rel=\"stylesheet\" href=\"stylesheet.css\">\n",
        $extra_css === '' ? '' : "<link rel=\"stylesheet\" href=\"$extra_css\">\n",
        "</head>\n<body>\n",
        '<header><a href="', bf_html($home), "\">bookface</a></header>\n<main>\n";
}

function bf_footer(): void
{
    echo "</main>\n</body>\n</html>\n";
}

// The status stays 200, whatever went wrong: this is what bookface does to health checks.
function bf_print_exception(Throwable $e): void
{
    echo '<p class="error">', bf_html($e->getMessage()), "</p>\n";
}
