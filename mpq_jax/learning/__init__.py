"""How Q is learned: the network, the replay buffer, free-energy targets, and fitting."""
