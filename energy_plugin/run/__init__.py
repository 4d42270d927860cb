"""Running cases: session, attempt, host, executors."""
