"""The server that comes after server.py."""

import os

from pylm_lab.servers import Pipeline

#: Where everybody is: five addresses.
PLACES = os.environ.get(
    "PYLM_LAB_PLACES",
    "tcp://127.0.0.1:5555 tcp://127.0.0.1:5556 tcp://127.0.0.1:5557 tcp://127.0.0.1:5558 "
    "tcp://127.0.0.1:5559",
)


class Second(Pipeline):
    """Greets once more."""

    def bar(self, message: bytes) -> bytes:
        """Say who has done it."""
        return self.name.encode() + b" processed " + message


_, sub, pub, db, _ = PLACES.split()
server = Second("pipeline", db, sub, pub, previous="server", to_client=True)

if __name__ == "__main__":
    server.start()
