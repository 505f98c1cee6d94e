"""manage.py MODULE COMMANDS: several commands of one management program, imported once.

COMMANDS is a list of lists of arguments, in JSON. Each command runs in a fork, as fresh as a
process of its own: to import such a program takes longer than most of its commands do.
"""

import importlib
import json
import os
import sys

module = importlib.import_module(sys.argv[1])
for arguments in json.loads(sys.argv[2]):
    child = os.fork()
    if child == 0:
        sys.argv = [sys.argv[1], *arguments]
        sys.exit(module.main())
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != 0:
        sys.exit(f"{' '.join(arguments)}: ended with {status}")
