"""What comes back: mail logs; bounces, complaints and unsubscribes will live here."""
