"""The rate and the spending budget of an account, shared by all its clients on a machine."""
