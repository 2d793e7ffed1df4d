"""The next step after each command: the last line of its help."""

from __future__ import annotations

ALL = "Begin with `campaign init DIR`. `campaign COMMAND -h` explains a command, `campaign guide` the rest."

FOLLOWING = {
    "init": "Next: `campaign rehearse DIR/campaign.yaml`, then edit the files.",
    "check": "Next: correct what it reports; then `campaign preview FILE` and `campaign rehearse FILE`.",
    "preview": "Next: `campaign test FILE ADDRESS` sends such a message to yourself.",
    "test": "Next: when it looks right in your mail program, `campaign send FILE --dry-run`.",
    "rehearse": "Next: `campaign test FILE ADDRESS`, then `campaign send FILE`.",
    "send": "Next: `campaign status FILE`; and `campaign send FILE` again resumes it.",
    "work": "Next: `campaign workers FILE` and `campaign status FILE --watch` show the progress.",
    "stop": "Next: `campaign send FILE` resumes it.",
    "workers": "Next: `campaign stop FILE` ends them; `campaign work FILE` adds one.",
    "status": "Next: its last lines name the commands that resume it and settle what is in doubt.",
    "export": "Next: correct the addresses in the list, then `campaign send FILE`.",
    "bounces": "Next: `campaign status FILE` shows what came back; look at the mails that it lists.",
    "resolve": "Next: `campaign send FILE` mails those that are pending.",
    "suppress": "Next: `campaign suppress COMMAND -h` explains a command.",
    "suppress add": "Next: `campaign suppress list` shows what is there.",
    "suppress remove": "Next: `campaign send FILE` mails those whose rows are on its list.",
    "suppress list": "Next: `campaign suppress remove ENTRY` takes one off.",
    "suppress import": "Next: `campaign suppress list` shows what is there.",
    "suppress export": "Next: `campaign suppress import CSV` reads it into another ledger.",
    "backup": "Next: to restore it, put it in the ledger's place, and see `campaign resolve -h`.",
    "unsubscribe-server": "Next: write unsubscribe.url into FILE; `campaign guide unsubscribing` shows how.",
    "forget": "Next: take the person out of the list, and of exports and --log files.",
    "report": "Next: open the page in a browser.",
    "schema": "Next: name its file in an editor's YAML settings.",
    "guide": "Next: `campaign guide recipes` begins with the common tasks.",
}
