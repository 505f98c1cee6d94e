<?php
// Liveness: PHP answers. It reads neither configuration nor database on purpose: a database that is
// away for a moment must not get every container replaced.

header('Content-Type: text/plain; charset=utf-8');
header('Cache-Control: no-store');
echo "alive\n";
