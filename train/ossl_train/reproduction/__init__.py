"""Repeat the experiment of a paper: its steps in order, and a report with every departure."""
