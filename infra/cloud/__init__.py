"""What an owner does with a bot in AWS, a command each: `python -m infra.cloud --help`, or `make` with its name."""
