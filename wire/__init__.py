"""What both sides of the wire share: plain data and arrays as messages, failed calls, retries, channels, and hints for wrong names."""
