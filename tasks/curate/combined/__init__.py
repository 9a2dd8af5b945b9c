"""Combined scores: one number of each document from several columns of scores."""
