"""Results -> something a person reads, in English and Japanese."""
