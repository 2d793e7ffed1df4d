"""An SMTP session over a real connection: TCP, TLS, certificates, deadlines, and opening it again."""
