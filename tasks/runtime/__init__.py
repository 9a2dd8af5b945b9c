"""The plumbing of stages: steps over units, publishing, commands. It moves work and bytes and is part of no key."""
