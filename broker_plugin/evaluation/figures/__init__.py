"""Figures of a report, one function each; matplotlib draws them without a display."""
