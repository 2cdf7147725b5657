"""Protovalidate's options, which the constraints in actmax's protos are written with."""
