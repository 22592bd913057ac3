"""What a run is held against: no control, plain MPPI, and the paper's figures and tables."""
