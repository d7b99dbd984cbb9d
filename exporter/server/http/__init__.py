"""HTTP below the applications: connections with deadlines and limits, and what Flask shares."""
