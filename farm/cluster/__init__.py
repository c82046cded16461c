"""The only place that imports ray: starting it, the actors, and the loop that drives a job over them."""
