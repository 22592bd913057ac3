"""How fast this machine is: plans, training, batches of seeds."""
