"""Charts as SVG and PNG, and what reports of jobs and of sessions share: colours, fonts, a style sheet, pictures and number formats."""
