"""What two or more services need; it knows no domain noun outside `contracts`."""
