"""The statistics of the Gopher rules, on whitespace words, in one pass: texts in, columns out."""
