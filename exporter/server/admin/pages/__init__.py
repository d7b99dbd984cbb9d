"""The pages of the admin listener for people: their views, charts, forms, templates and static files."""
