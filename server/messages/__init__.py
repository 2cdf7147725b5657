"""Messages of the wire: from and to what the server keeps."""
