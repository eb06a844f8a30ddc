"""Training temporal classifiers: several detections of one object in, one answer out."""
