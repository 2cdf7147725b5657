"""What outlives the server: a database of jobs and events, and a folder of files."""
