"""serve.py MODULE PORT: one service (Keystone, Glance, Placement, Neutron) on the loopback."""

import importlib
import sys

import lab_parts.sqlite  # noqa: F401  (changes SQLAlchemy)
import waitress

module, port = sys.argv[1], int(sys.argv[2])
sys.argv = [module]  # the services would read our arguments
application = importlib.import_module(module).application
waitress.serve(application, host="127.0.0.1", port=port, threads=8)
