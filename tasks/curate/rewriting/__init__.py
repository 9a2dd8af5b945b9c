"""Rules that look at lines and leave a text without the failing ones: the rewritten text, and statistics of it."""
