"""The pure part of the projection: how events become runs, slots and deadlines of exports."""
