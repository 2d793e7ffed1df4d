"""The domains of the big mailbox providers: in an address, a near miss of one is probably a typo."""

FREE = frozenset(
    {
        "gmail.com", "googlemail.com",
        "outlook.com", "hotmail.com", "hotmail.co.uk", "hotmail.de", "hotmail.fr", "hotmail.it", "hotmail.es",
        "live.com", "live.de", "live.nl", "live.co.uk", "live.fr", "msn.com", "outlook.de", "outlook.fr",
        "yahoo.com", "yahoo.de", "yahoo.co.uk", "yahoo.fr", "yahoo.it", "yahoo.es",
        "yahoo.co.jp", "yahoo.co.in",
        "yahoo.com.br", "yahoo.ca", "ymail.com", "rocketmail.com", "aol.com", "aol.de",
        "icloud.com", "me.com", "mac.com",
        "gmx.de", "gmx.net", "gmx.at", "gmx.ch", "gmx.com", "web.de", "mail.de", "email.de", "freenet.de",
        "t-online.de", "arcor.de", "posteo.de", "mailbox.org", "online.de", "vodafone.de",
        "orange.fr", "wanadoo.fr", "free.fr", "laposte.net", "sfr.fr",
        "libero.it", "tiscali.it", "virgilio.it", "alice.it",
        "bluewin.ch", "hispeed.ch", "sunrise.ch",
        "ziggo.nl", "kpnmail.nl", "planet.nl", "telenet.be", "skynet.be",
        "btinternet.com", "sky.com", "virginmedia.com", "ntlworld.com",
        "comcast.net", "verizon.net", "att.net", "sbcglobal.net", "bellsouth.net", "cox.net", "charter.net",
        "proton.me", "protonmail.com", "tuta.io", "tutanota.com", "fastmail.com", "zoho.com",
        "mail.ru", "yandex.ru", "yandex.com", "rambler.ru", "bk.ru", "inbox.ru", "list.ru",
        "seznam.cz", "wp.pl", "o2.pl", "onet.pl", "interia.pl", "centrum.cz", "azet.sk", "freemail.hu",
        "abv.bg", "ukr.net", "uol.com.br", "bol.com.br", "terra.com.br",
        "qq.com", "163.com", "126.com", "sina.com", "naver.com", "hanmail.net", "daum.net", "rediffmail.com",
        "mail.com", "email.com", "bigpond.com", "xtra.co.nz",
    }
)  # fmt: skip
"""Domains in which anybody can have a mailbox."""
