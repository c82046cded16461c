"""How fast a machine paints a film: what sizes a cluster, and what tells whether a change was worth it."""
