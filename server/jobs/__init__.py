"""The states of jobs, their changes, and what clients read of them."""
