<?php
// Metrics for Prometheus, if the web server was started with BOOKFACE_METRICS=1: the status of the
// server and of PHP, under the names of the well-known exporters. It reads neither the site's
// configuration nor the database.

declare(strict_types=1);

// The server's status page, on its loopback only, and how long to wait for it.
const METRICS_STATUS = 'http://127.0.0.1:8081/platform/status?auto';
const METRICS_SECONDS = 1;

header('Cache-Control: no-store');
if (getenv('BOOKFACE_METRICS') !== '1') {
    header('Content-Type: text/plain; charset=utf-8');
    http_response_code(404);
    exit("not found\n");
}
header('Content-Type: text/plain; version=0.0.4; charset=utf-8');

$context = stream_context_create(['http' => ['timeout' => METRICS_SECONDS]]);
$status = @file_get_contents(METRICS_STATUS, false, $context);
if (PHP_SAPI === 'fpm-fcgi') {
    metrics_of_nginx($status);
    metrics_of_fpm();
} else {
    metrics_of_apache($status);
}
metrics_of_opcache();

/** One metric with its samples: label text => value. Unknown ones are left out. */
function metric(string $name, string $help, array $samples): void
{
    $samples = array_filter($samples, 'is_numeric');
    if ($samples === []) {
        return;
    }
    $type = str_ends_with($name, '_total') ? 'counter' : 'gauge';
    echo "# HELP $name $help\n# TYPE $name $type\n";
    foreach ($samples as $labels => $value) {
        echo $name, $labels === '' ? '' : "{{$labels}}", " $value\n";
    }
}

function metrics_of_apache(string|false $status): void
{
    metric('apache_up', 'Whether the status of Apache was read in time', ['' => (int) ($status !== false)]);
    preg_match_all('/^([\w ]+): (.*)$/m', (string) $status, $lines);
    $told = array_combine($lines[1], $lines[2]);
    $plain = [
        'apache_accesses_total' => ['Requests since the start', 'Total Accesses'],
        'apache_sent_kilobytes_total' => ['Kilobytes sent since the start', 'Total kBytes'],
        'apache_duration_ms_total' => ['Time spent on all requests, in ms', 'Total Duration'],
        'apache_uptime_seconds_total' => ['Seconds since the start', 'ServerUptimeSeconds'],
    ];
    foreach ($plain as $name => [$help, $key]) {
        metric($name, $help, ['' => $told[$key] ?? null]);
    }
    metric('apache_workers', 'Workers by state', [
        'state="busy"' => $told['BusyWorkers'] ?? null,
        'state="idle"' => $told['IdleWorkers'] ?? null,
    ]);
    if (!isset($told['Scoreboard'])) {
        return;
    }
    $letters = [
        '_' => 'idle', 'S' => 'startup', 'R' => 'read', 'W' => 'reply', 'K' => 'keepalive', 'D' => 'dns',
        'C' => 'closing', 'L' => 'logging', 'G' => 'graceful_stop', 'I' => 'idle_cleanup', '.' => 'open_slot',
    ];
    $samples = [];
    foreach ($letters as $letter => $state) {
        $samples["state=\"$state\""] = substr_count($told['Scoreboard'], $letter);
    }
    metric('apache_scoreboard', 'Worker slots by state', $samples);
}

function metrics_of_nginx(string|false $status): void
{
    metric('nginx_up', 'Whether the status of nginx was read in time', ['' => (int) ($status !== false)]);
    $pattern = '/Active connections: (\d+)\s+server accepts handled requests\s+(\d+) (\d+) (\d+)\s+'
        . 'Reading: (\d+) Writing: (\d+) Waiting: (\d+)/';
    preg_match($pattern, (string) $status, $told);
    $names = [
        'nginx_connections_active' => 'Client connections',
        'nginx_connections_accepted' => 'Connections accepted since the start',
        'nginx_connections_handled' => 'Connections handled since the start',
        'nginx_http_requests_total' => 'Requests since the start',
        'nginx_connections_reading' => 'Connections whose request is being read',
        'nginx_connections_writing' => 'Connections to which a response is being written',
        'nginx_connections_waiting' => 'Idle connections',
    ];
    $number = 0;
    foreach ($names as $name => $help) {
        metric($name, $help, ['' => $told[++$number] ?? null]);
    }
}

function metrics_of_fpm(): void
{
    $told = fpm_get_status() ?: [];
    metric('phpfpm_up', 'Whether the status of php-fpm was read', ['' => (int) ($told !== [])]);
    if ($told === []) {
        return;
    }
    $names = [
        'start_since' => 'Seconds since the start',
        'accepted_connections' => 'Requests since the start',
        'listen_queue' => 'Requests waiting for a process',
        'max_listen_queue' => 'Maximum number of requests waiting at one time',
        'listen_queue_length' => 'Size of the queue of waiting requests',
        'idle_processes' => 'Idle processes',
        'active_processes' => 'Active processes',
        'total_processes' => 'All processes',
        'max_active_processes' => 'Maximum number of processes active at one time',
        'max_children_reached' => 'Times the limit of processes was reached',
        'slow_requests' => 'Requests that exceeded the limit for slow requests',
    ];
    foreach ($names as $name => $help) {
        // php-fpm has its own names for a few of them.
        $key = strtr($name, ['accepted_connections' => 'accepted-conn', 'length' => 'len', '_' => '-']);
        metric("phpfpm_$name", $help, ["pool=\"{$told['pool']}\"" => $told[$key] ?? null]);
    }
}

function metrics_of_opcache(): void
{
    $told = function_exists('opcache_get_status') ? @opcache_get_status(false) : false;
    metric('php_opcache_enabled', 'Whether the opcode cache is enabled', ['' => (int) ($told !== false)]);
    $memory = $told['memory_usage'] ?? [];
    $counts = $told['opcache_statistics'] ?? [];
    metric('php_opcache_memory_bytes', 'Memory of the opcode cache', [
        'state="used"' => $memory['used_memory'] ?? null,
        'state="free"' => $memory['free_memory'] ?? null,
        'state="wasted"' => $memory['wasted_memory'] ?? null,
    ]);
    metric('php_opcache_cached_scripts', 'Cached scripts', ['' => $counts['num_cached_scripts'] ?? null]);
    metric('php_opcache_hits_total', 'Cache hits', ['' => $counts['hits'] ?? null]);
    metric('php_opcache_misses_total', 'Cache misses', ['' => $counts['misses'] ?? null]);
    $again = ($counts['oom_restarts'] ?? 0) + ($counts['hash_restarts'] ?? 0) + ($counts['manual_restarts'] ?? 0);
    metric('php_opcache_restarts_total', 'Restarts of the cache', ['' => $told === false ? null : $again]);
}
