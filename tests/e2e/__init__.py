"""Through the gateway of the whole house, which is started once for all of these tests."""
