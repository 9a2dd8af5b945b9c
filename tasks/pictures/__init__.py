"""What all pictures have in common: figures as SVG, colours of the light and the dark mode, marks and legends."""
