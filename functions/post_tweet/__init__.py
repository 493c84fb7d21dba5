"""Take one unused text from the pool and post it, once. Imports nothing of `training`."""
