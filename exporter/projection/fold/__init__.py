"""The pure part of the projection: turns events into the runs, slots and states of exports and sources."""
