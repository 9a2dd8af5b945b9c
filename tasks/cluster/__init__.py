"""From kept documents to domains: embed, k-means, prune, merge, name, split."""
