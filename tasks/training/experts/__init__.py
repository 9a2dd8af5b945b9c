"""Sparse experts in place of a layer's feed-forward: their routers, how use of them is balanced, and what is told of it."""
