"""The HTTP transport of the platform: requests, responses, and the clients that carry them."""
