<?php
// Readiness: does this server's own configuration reach the database? bookface answers 200 even
// without its database, so the load balancer checks this page. It lies beside the application, which
// stays unmodified, and runs the application's config.php, whichever style that has.
//
// config.php sets globals, so between it and their use there is only global code.

declare(strict_types=1);

const PROBE_CONNECT_SECONDS = 2;
const PROBE_ANSWER_SECONDS = 2;

// Load balancers send the header; nobody else gets an answer.
if (!isset($_SERVER['HTTP_X_BOOKFACE_PROBE'])) {
    probe_answer(404, 'not found');
}

// A config.php that finds no configuration ends the script, and only this function still runs.
register_shutdown_function(static function (): void {
    if (!defined('PROBE_ANSWERED')) {
        error_log('bookface probe: config.php ended the script');
        probe_answer(503, 'not ready: configuration');
    }
});
ob_start();
try {
    if (!@chdir($_SERVER['DOCUMENT_ROOT']) || !is_file(getcwd() . '/config.php')) {
        throw new RuntimeException('no config.php in ' . $_SERVER['DOCUMENT_ROOT']);
    }
    require getcwd() . '/config.php';
    if ((string) ($dbhost ?? '') === '') {
        throw new RuntimeException('config.php does not set $dbhost');
    }
} catch (Throwable $e) {
    error_log('bookface probe: ' . $e->getMessage());
    probe_answer(503, 'not ready: configuration');
}

try {
    $dsn = '';
    $target = ['host' => $dbhost, 'port' => $dbport ?? 26257, 'dbname' => $db ?? 'bf', 'sslmode' => 'disable'];
    foreach ($target as $key => $value) {
        $dsn .= $key . '=' . probe_quote((string) $value) . ' ';
    }
    // No password if the site has none: an empty one would override PGPASSWORD.
    $password = (string) ($dbpassw ?? '') === '' ? null : (string) $dbpassw;
    if (!extension_loaded('pdo_pgsql')) {
        throw new RuntimeException('the pages need the PHP extension pdo_pgsql');
    }
    if (function_exists('pg_connect_poll')) {
        probe_ask_without_blocking($dsn, (string) ($dbuser ?? 'bfuser'), $password);
    } else {
        probe_ask_through_pdo($dsn, (string) ($dbuser ?? 'bfuser'), $password);
    }
} catch (Throwable $e) {
    error_log('bookface probe: ' . $e->getMessage());
    probe_answer(503, 'not ready: database');
}
probe_answer(200, 'ready');

function probe_answer(int $status, string $text): never
{
    define('PROBE_ANSWERED', true);
    while (ob_get_level() > 0 && @ob_end_clean()) {
        // whatever config.php printed
    }
    header_remove();
    http_response_code($status);
    header('Content-Type: text/plain; charset=utf-8');
    header('Cache-Control: no-store');
    echo $text, "\n";
    exit;
}

function probe_quote(#[SensitiveParameter] string $value): string
{
    return "'" . addcslashes($value, "'\\") . "'";
}

// The same client library as PDO uses, but with a deadline. PDO waits for as long as the other side
// keeps the connection, which a pooler does for minutes while its database is down.
// Only the resolver remains unbounded, if the host is a name: see resolv.conf(5).
function probe_ask_without_blocking(string $dsn, string $user, #[SensitiveParameter] ?string $password): void
{
    $dsn .= 'user=' . probe_quote($user) . ($password === null ? '' : ' password=' . probe_quote($password));
    $link = @pg_connect($dsn, PGSQL_CONNECT_FORCE_NEW | PGSQL_CONNECT_ASYNC);
    if ($link === false) {
        throw new RuntimeException(error_get_last()['message'] ?? 'pg_connect failed');
    }
    $deadline = microtime(true) + PROBE_CONNECT_SECONDS;
    for ($state = PGSQL_POLLING_WRITING; $state !== PGSQL_POLLING_OK; $state = pg_connect_poll($link)) {
        if ($state === PGSQL_POLLING_FAILED) {
            throw new RuntimeException(pg_last_error($link));
        }
        probe_wait($link, $state === PGSQL_POLLING_WRITING, $deadline);
    }

    $deadline = microtime(true) + PROBE_ANSWER_SECONDS;
    pg_send_query($link, 'select 1');
    while (pg_connection_busy($link)) {
        probe_wait($link, false, $deadline);
    }
    $result = pg_get_result($link);
    if ($result === false || pg_fetch_result($result, 0, 0) !== '1') {
        throw new RuntimeException('select 1 failed: ' . pg_last_error($link));
    }
}

function probe_wait(PgSql\Connection $link, bool $to_write, float $deadline): void
{
    $socket = pg_socket($link);
    $read = $to_write ? [] : [$socket];
    $write = $to_write ? [$socket] : [];
    $except = [];
    $left = (int) (1e6 * ($deadline - microtime(true)));
    if ($left <= 0 || stream_select($read, $write, $except, 0, $left) === 0) {
        // PHP would wait for the answer again when it frees the link, so close the socket.
        if (function_exists('socket_import_stream')) {
            socket_shutdown(socket_import_stream($socket));
        }
        throw new RuntimeException('the database did not answer in time');
    }
}

// For PHP with pdo_pgsql only. "set local" in a transaction, because a transaction pooler shares
// sessions between clients and refuses such settings at connect.
function probe_ask_through_pdo(string $dsn, string $user, #[SensitiveParameter] ?string $password): void
{
    // PDO appends a connect_timeout of its own to the DSN, so only the attribute counts.
    $dbh = new PDO('pgsql:' . $dsn, $user, $password, [
        PDO::ATTR_TIMEOUT => PROBE_CONNECT_SECONDS,
        PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
        PDO::ATTR_EMULATE_PREPARES => true,
    ]);
    $dbh->beginTransaction();
    $dbh->exec('set local statement_timeout = ' . 1000 * PROBE_ANSWER_SECONDS);
    if ((int) $dbh->query('select 1')->fetchColumn() !== 1) {
        throw new RuntimeException('select 1 failed');
    }
    $dbh->commit();
}
