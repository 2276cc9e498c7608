"""Events -> one row per customer and as-of date, from facts known before it."""
