"""Append two nodes and an edge, and read a prediction that counts them.

Run it beside ``olad up`` with a model published: ``python read_own_writes.py [URL]``.
"""

import sys

from olad import Client, UpsertEdge, UpsertNode

with Client(*sys.argv[1:2]) as client:
    batch = client.append([UpsertNode(id="new-1"), UpsertNode(id="new-2"), UpsertEdge(src="new-1", dst="new-2")])
    # The client passes the position of its own write: the answer counts all three events, or is an error.
    found = client.predict_one("new-2")
    print(f"wrote {batch.position}, read {found.position}: {found.node} is {found.label}")
