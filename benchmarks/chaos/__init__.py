"""Breaks renders in many ways, and compares what comes out with an undisturbed one: see __main__.py."""
