<?php
// The older name of adduser.php, for ?user=NAME&image=URL.
require __DIR__ . '/adduser.php';
