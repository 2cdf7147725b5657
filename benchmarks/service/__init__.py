"""What the service promises, held against it."""

import os

# PostgreSQL's tools are forked from processes with open channels, where gRPC's handlers of forks can abort them.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
