"""A process that starts or attaches to the server of a folder, says so, and waits to be ended."""

import sys
import time
from pathlib import Path

from tieline.store.embedded import EmbeddedServer

server = EmbeddedServer(Path(sys.argv[1]))
server.start()
print("owns" if server.is_owner else "attached", "alone" if server.is_alone else "in company", flush=True)  # noqa: T201
time.sleep(600)
