"""What throughput is measured on, and against: cases, other implementations, paired timing."""
