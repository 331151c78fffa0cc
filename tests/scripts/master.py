"""A master that deals messages to workers."""

import os

from pylm_lab.servers import Master

#: Where everybody is: five addresses.
PLACES = os.environ.get(
    "PYLM_LAB_PLACES",
    "tcp://127.0.0.1:5555 tcp://127.0.0.1:5556 tcp://127.0.0.1:5557 tcp://127.0.0.1:5558 "
    "tcp://127.0.0.1:5559",
)

pull, pub, worker_pull, worker_push, db = PLACES.split()
server = Master(
    name="server",
    pull_address=pull,
    pub_address=pub,
    worker_pull_address=worker_pull,
    worker_push_address=worker_push,
    db_address=db,
)

if __name__ == "__main__":
    server.start()
