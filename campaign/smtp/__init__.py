"""SMTP without a socket: bytes in, events out (RFC 5321).

`replies` parses the server's replies, and `commands` makes our command lines. `opening` leads from the
greeting to the login, with `extensions` and `auth`. `transaction` follows one message from MAIL to the
final dot. `session` is the state machine that connects them and returns `events`. Nothing here knows of
sockets, TLS libraries, clocks, ledgers or campaigns.
"""
