"""The service: ``actmax.v1`` over gRPC, with jobs stored on disk and computed in worker processes."""
