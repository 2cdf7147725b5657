"""The service: ``actmax.v1`` over gRPC, with its jobs on disk and its work in processes of their own."""
