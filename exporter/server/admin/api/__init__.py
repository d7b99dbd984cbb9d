"""The JSON API of the admin listener: its routes, documents, parameters, bodies and OpenAPI description."""
