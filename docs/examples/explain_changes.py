"""Follow the stream of changes, and explain the label of the first node that changes.

Run it beside ``OLAD_CHANGES=on olad up``: ``python explain_changes.py [URL [AFTER]]``.
"""

import contextlib
import sys

from olad import Client, LabelChanged

url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
after = sys.argv[2] if len(sys.argv) > 2 else None

with Client(url) as client, contextlib.closing(client.stream(after=after, types=["label-changed"])) as changes:
    for change in changes:
        if not isinstance(change, LabelChanged) or change.data.label is None:
            continue  # The node has left the graph.
        print(f"{change.data.node}: {change.data.before} became {change.data.label} at {change.position}")
        why = client.explain(change.data.node, most=3, min_position=change.position)
        for effect in why.effects:
            print(f"  {effect.change:+.3f} {effect.kind}")
        break
