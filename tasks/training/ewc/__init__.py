"""Elastic weight consolidation: weights that mattered to what was learnt before are held near to what they were."""
