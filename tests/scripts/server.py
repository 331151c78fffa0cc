"""A server that works itself: server.py [next], for the next server instead of for the client."""

import os
import sys

from pylm_lab.servers import Server

#: Where everybody is: five addresses.
PLACES = os.environ.get(
    "PYLM_LAB_PLACES",
    "tcp://127.0.0.1:5555 tcp://127.0.0.1:5556 tcp://127.0.0.1:5557 tcp://127.0.0.1:5558 "
    "tcp://127.0.0.1:5559",
)


class Greeter(Server):
    """Greets."""

    def foo(self, message: bytes) -> bytes:
        """Say who has done it."""
        return self.name.encode() + b" processed " + message


pull, pub, _, _, db = PLACES.split()
server = Greeter("server", db, pull, pub, pipelined="next" in sys.argv)

if __name__ == "__main__":
    server.start()
