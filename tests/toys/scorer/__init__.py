"""An annotator of one's own, as CONTRIBUTING shows it."""
