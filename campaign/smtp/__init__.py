"""SMTP without a socket: bytes in, events out (RFC 5321).

`replies` reads what the server says and `commands` writes what we say; `opening` goes from the
greeting to the login with `extensions` and `auth`, `transaction` is one message's way from MAIL to
the final dot, and `session` is the state machine that holds them together and speaks in `events`.
Nothing here knows of sockets, TLS libraries, clocks, ledgers or campaigns.
"""
