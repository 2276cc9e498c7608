"""Feature table -> calibrated probability, its evaluation and its explanation."""
