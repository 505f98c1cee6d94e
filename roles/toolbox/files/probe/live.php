<?php
// Liveness: PHP answers. It deliberately reads neither configuration nor database: a database that is
// down for a moment must not cause every container to be replaced.

header('Content-Type: text/plain; charset=utf-8');
header('Cache-Control: no-store');
echo "alive\n";
