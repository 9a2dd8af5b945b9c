"""What repeats across the surviving documents: paragraphs, then lines of what is left, cut from all but one."""
