"""A worker: worker.py NAME."""

import os
import sys

from pylm_lab.servers import Worker

#: Where everybody is: five addresses.
PLACES = os.environ.get(
    "PYLM_LAB_PLACES",
    "tcp://127.0.0.1:5555 tcp://127.0.0.1:5556 tcp://127.0.0.1:5557 tcp://127.0.0.1:5558 "
    "tcp://127.0.0.1:5559",
)


class Greeter(Worker):
    """Greets, and tells the log."""

    def foo(self, message: bytes) -> bytes:
        """Say who has done it."""
        self.logger.info("foo is at work")
        return self.name.encode() + b" processed " + message


server = Greeter(sys.argv[1], db_address=PLACES.split()[-1])

if __name__ == "__main__":
    server.start()
