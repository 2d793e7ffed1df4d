"""Show real messages of real recipients before anything is sent: on the terminal, as files, or as a page.

    choice (which rows) → Renderer → opened (a message as a mail program reads it)
                                   → terminal lines | files (.eml) | page (one HTML file)

Nothing here opens a connection, runs a command for a secret, or writes to the ledger.
"""
