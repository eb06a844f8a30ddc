"""Training: from packets and labels to a bundle.  Needs the extra ``train`` (Keras)."""
