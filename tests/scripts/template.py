"""The same master, built from a router and its parts."""

import os

from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.parts.services import (
    CacheService,
    PubService,
    PullService,
    WorkerPullService,
    WorkerPushService,
)

#: Where everybody is: five addresses.
PLACES = os.environ.get(
    "PYLM_LAB_PLACES",
    "tcp://127.0.0.1:5555 tcp://127.0.0.1:5556 tcp://127.0.0.1:5557 tcp://127.0.0.1:5558 "
    "tcp://127.0.0.1:5559",
)

pull, pub, worker_pull, worker_push, db = PLACES.split()
server = ServerTemplate()
server.register_inbound(PullService, "Pull", pull, route="WorkerPush")
server.register_inbound(WorkerPullService, "WorkerPull", worker_pull, route="Pub")
server.register_outbound(WorkerPushService, "WorkerPush", worker_push)
server.register_outbound(PubService, "Pub", pub)
server.register_bypass(CacheService, "Cache", db)
server.preset_cache(
    name="server",
    db_address=db,
    pull_address=pull,
    pub_address=pub,
    worker_pull_address=worker_pull,
    worker_push_address=worker_push,
)

if __name__ == "__main__":
    server.start()
