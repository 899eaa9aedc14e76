"""What builds, runs and checks the house; never imported by the house itself."""
