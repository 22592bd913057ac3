"""What everything stands on: errors and checks, keys, compiling, files, statistics, progress."""
