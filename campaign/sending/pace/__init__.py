"""The rate: its windows, the gate that every content passes, and when the next message may leave."""
