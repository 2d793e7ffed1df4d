"""Read what comes back after sending: bounces, complaints, unsubscribes, and mail servers' logs."""
