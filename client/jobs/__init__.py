"""Jobs on the client's side: submitting, following, fetching and reading results."""
