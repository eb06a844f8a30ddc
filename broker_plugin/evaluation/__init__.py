"""Labelled alerts, and how well a classifier does on them."""
