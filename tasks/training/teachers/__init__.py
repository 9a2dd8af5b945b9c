"""What a run learns from other models: who they are, what they say of a token, and how much that counts."""
