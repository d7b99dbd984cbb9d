"""HTTP below the Flask applications: connections with deadlines and limits, WSGI, and error responses."""
