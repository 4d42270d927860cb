"""Geometry of the figures in plain Python; the templates only place it."""
