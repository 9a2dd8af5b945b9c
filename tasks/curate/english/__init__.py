"""English tokens, exactly as the rules written for spaCy count them.

Published thresholds of the Gopher and FineWeb rules were set on the tokens of spaCy's rule tokenizer (blank "en"), which
datatrove uses. The rules are ported here, without the dependency; the kernel `native/english.h` is the same port.
"""
