<?php
// The site's configuration: config.json beside this file, each key overridden by its environment
// variable. Read on every request, so that a change needs no restart.
//
// A site may replace this file by one that only sets the variables. It therefore defines no
// function, and sets nothing but global variables: probes outside the web root load it too.

$bf_json = json_decode((string) @file_get_contents(__DIR__ . '/config.json'));
if (!$bf_json instanceof stdClass) {
    http_response_code(500);
    header('Content-Type: text/plain; charset=utf-8');
    exit("bookface: config.json is missing or is not a JSON object\n");
}

foreach (
    [
        // variable and key => [environment variable, default]
        'dbhost' => ['BF_DB_HOST', 'localhost'],
        'dbport' => ['BF_DB_PORT', '26257'],
        'db' => ['BF_DB_NAME', 'bf'],
        'dbuser' => ['BF_DB_USER', 'bfuser'],
        'dbpassw' => ['BF_DB_PASS', ''],
        'webhost' => ['BF_WEBHOST', 'localhost'],
        'imagepath' => ['BF_IMAGE_PATH', '/var/www/html/images'],
        'frontpage_limit' => ['BF_FRONTPAGE_LIMIT', 1000],
        'use_local_images' => ['BF_USE_LOCAL_IMAGES', 0],
        'use_activity_cutoff_days' => ['BF_ACTIVITY_CUTOFF_DAYS', ''],
        'memcache_server' => ['BF_MEMCACHE_SERVER', ''],
        'memcache_enabled' => ['BF_MEMCACHE_ENABLED', ''],
        'memcache_enabled_pictures' => ['BF_MEMCACHE_ENABLED_PICTURES', ''],
    ] as $bf_key => [$bf_variable, $bf_default]
) {
    $bf_value = getenv($bf_variable);
    // An empty environment variable counts as absent: compose files pass those along.
    $$bf_key = $bf_value === false || $bf_value === '' ? $bf_json->$bf_key ?? $bf_default : $bf_value;
}

// A cache named by the environment is a cache switched on, unless the environment says otherwise.
if ((string) getenv('BF_MEMCACHE_SERVER') !== '') {
    foreach (['memcache_enabled', 'memcache_enabled_pictures'] as $bf_key) {
        $bf_value = getenv('BF_' . strtoupper($bf_key));
        $$bf_key = $bf_value === false || $bf_value === '' ? 1 : $bf_value;
    }
}
unset($bf_json, $bf_key, $bf_variable, $bf_default, $bf_value);
