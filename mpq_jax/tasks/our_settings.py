"""What the paper leaves open and we measured (BUILD_NOTES.md), as config fields."""

# Each baseline has a temperature of its own; MPQ's stands in the task's settings.
TEMPERATURES: dict[str, dict[str, dict[str, float]]] = {
    'pendulum': {},
    'ball_in_cup': {},
    'fetch_push': {},
    'franka_drawer': {},
}

CHOSEN_ON = 'seeds 0 to 9'

# Few states, many epochs, targets from one batch of the prior: as good as four times the states
# with a quarter of the epochs, at a quarter of the model steps.
FEW_STATES = {
    'learner.target_iterations': 0,
    'learner.num_states': 320,
    'learner.epochs': 80,
}


def physics(whose: str, timestep: float, iterations: int, line_search_iterations: int) -> dict:
    """How finely 'planner_physics' or 'real_physics' steps."""
    return {
        f'{whose}.timestep': timestep,
        f'{whose}.solver_iterations': iterations,
        f'{whose}.line_search_iterations': line_search_iterations,
    }
