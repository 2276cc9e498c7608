"""Events: where they come from, what they must be, and the built-in world."""
