"""Jobs as a client sees them: submitting, following, reading results."""
