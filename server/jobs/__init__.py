"""Jobs without their transport: what a job may do, and the service that does it."""
