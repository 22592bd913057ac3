"""Commands that make policies of what a planner knows."""
