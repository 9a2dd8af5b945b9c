"""What planted experiments show: the effect of each, and whether they get into each other's way."""
