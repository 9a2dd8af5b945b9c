"""Selectors of documents ranked by the models they induce, at equal tokens, against documents drawn at random."""
