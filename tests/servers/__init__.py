"""Private servers on loopback for the tests: a real Postfix, a forwarding proxy, their certificates."""
