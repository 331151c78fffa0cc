"""A client of ten messages: client.py [FUNCTIONS [PLACE]]; PLACE counts where answers come from."""

import os
import sys

from pylm_lab.clients import Client

#: Where everybody is: five addresses.
PLACES = os.environ.get(
    "PYLM_LAB_PLACES",
    "tcp://127.0.0.1:5555 tcp://127.0.0.1:5556 tcp://127.0.0.1:5557 tcp://127.0.0.1:5558 "
    "tcp://127.0.0.1:5559",
)

functions, place = [*sys.argv[1:], "server.foo", ""][:2]
places = PLACES.split()
client = Client("server", places[-1], sub_address=places[int(place)] if place else None)

if __name__ == "__main__":
    for response in client.job(functions, [b"a message"] * 10, messages=10):
        print(response.decode())
