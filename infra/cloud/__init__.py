"""What an owner does with a bot in AWS, a command each: `deepproverbs cloud -h`, or `make` with its name."""
