"""Speed and memory compared with the usual tools, as ratios within one run."""
