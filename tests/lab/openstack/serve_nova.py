"""serve_nova.py PORT: Nova's conductor, scheduler, compute and API in one process.

In one process, messages between them may stay in memory (transport fake://): no RabbitMQ.
"""

from nova import monkey_patch

monkey_patch.patch(backend="threading")  # before anything else of Nova's is imported

import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
import traceback  # noqa: E402

import lab_parts.sqlite  # noqa: E402, F401  (changes SQLAlchemy)
import os_vif  # noqa: E402
import waitress  # noqa: E402
from nova import context, objects, service  # noqa: E402
from nova.api.openstack import wsgi_app  # noqa: E402
from nova.compute import rpcapi as compute  # noqa: E402
from nova.conductor import rpcapi as conductor  # noqa: E402
from nova.objects import host_mapping  # noqa: E402
from nova.scheduler import rpcapi as scheduler  # noqa: E402

PORT = int(sys.argv[1])
sys.argv = ["nova"]  # it would read our arguments


def main() -> None:
    """Start all; whoever asks the port finds a cloud with one host."""
    wsgi_app.init_global_data(wsgi_app._get_config_files(), "nova", "nova")
    objects.register_all()
    os_vif.initialize()
    for name, topics in (
        ("nova-conductor", {"topic": conductor.RPC_TOPIC}),
        ("nova-scheduler", {"topic": scheduler.RPC_TOPIC}),
        ("nova-compute", {"topic": compute.RPC_TOPIC, "topic_alt": compute.RPC_TOPIC_ALT}),
    ):
        service.Service.create(binary=name, **topics).start()
    host_mapping.discover_hosts(context.get_admin_context())
    application = wsgi_app.init_application("osapi_compute", "nova")
    threading.Thread(
        target=waitress.serve,
        args=(application,),
        kwargs={"host": "127.0.0.1", "port": PORT, "threads": 8},
        daemon=True,
    ).start()


# All state is in the databases, so nothing is lost by leaving at once.
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: os._exit(0))
try:
    main()
except BaseException:  # threads of what has started would keep the process alive
    traceback.print_exc()
    os._exit(1)
while True:
    signal.pause()
