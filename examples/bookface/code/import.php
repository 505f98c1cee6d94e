<?php
// bookface migrates from an older site here; this work-alike does not, and says so.
require __DIR__ . '/common.php';
require __DIR__ . '/config.php';

http_response_code(501);
header('Content-Type: text/plain; charset=utf-8');
echo "This work-alike does not import. Move the data with the tools of the database.\n";
