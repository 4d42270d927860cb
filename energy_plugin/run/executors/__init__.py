"""Where programs run: one strategy a module behind one protocol."""
