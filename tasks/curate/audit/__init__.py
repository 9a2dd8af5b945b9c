"""Questions to a curate folder: the funnel, what each rule does alone and together, and what if a threshold changed."""
