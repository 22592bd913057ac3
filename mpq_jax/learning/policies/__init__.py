"""Policies that are learned: by reinforcement, by random search, from a planner."""
