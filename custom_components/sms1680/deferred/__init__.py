"""Messages that wait: the queue, its retries, and the reports it waits for."""
