"""The only place that imports ray: starting it, the actors, and the loop that drives a job over them."""

import os

# Ray reads this when it is first imported, so it stands before every import of ray that the farm does.
os.environ.setdefault("RAY_AUTH_MODE", "token")
