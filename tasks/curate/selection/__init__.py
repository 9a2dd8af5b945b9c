"""Selection: which of the documents that pass every filter are kept, decided by their scores."""
