"""Charts as SVG and PNG, and the colours, fonts and number formats that reports of jobs and of sessions share."""
