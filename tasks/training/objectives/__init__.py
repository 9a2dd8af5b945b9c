"""What a step minimises other than the mean over its tokens: one module each."""
