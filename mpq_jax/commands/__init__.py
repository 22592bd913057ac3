"""What a user types: `mpq train`, `mpq sweep` and their like, one module each."""
