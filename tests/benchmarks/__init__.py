"""Speed and memory against what a user would otherwise run, as ratios of one run."""
