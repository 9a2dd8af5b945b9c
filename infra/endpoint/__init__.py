"""Language models behind an OpenAI-compatible endpoint: asked once, answers kept, never paid for twice."""
