"""What both sides of the wire share: reading plain data as messages, checking messages, and hints for wrong names."""
