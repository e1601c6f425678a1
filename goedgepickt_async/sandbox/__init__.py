"""The sandbox: a test server with made-up data and a real socket, with faults on demand.

It shares no code with the client, so that both cannot have the same mistake.

```python
async with Sandbox(orders=300, seed=1, limit=150, period=2.0) as sandbox:
    sandbox.url, sandbox.api_key  # what a client needs, in any language
    sandbox.world.add_order(status="backorder")  # change the state behind the API's back
    sandbox.quirks.total_items = 7  # make `pageInfo` lie
    sandbox.fail("POST", "/orders", faults.Drop(applied=True))  # lose the next order's answer
    sandbox.requests  # everything that arrived
    sandbox.deliveries  # every webhook delivery that was made
```
"""

from __future__ import annotations

from goedgepickt_async.sandbox import deliveries, faults
from goedgepickt_async.sandbox.app import Quirks
from goedgepickt_async.sandbox.requests import RecordedRequest
from goedgepickt_async.sandbox.server import Sandbox
from goedgepickt_async.sandbox.world import ActionError, World

__all__ = ["ActionError", "Quirks", "RecordedRequest", "Sandbox", "World", "deliveries", "faults"]
