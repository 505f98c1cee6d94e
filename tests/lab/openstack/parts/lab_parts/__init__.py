"""What this lab puts in the place of agents and of a database server."""
