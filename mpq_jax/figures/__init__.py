"""Figures of a run, curves of seeds, and films of an episode."""
