"""The HTML pages behind an unsubscribe link: no scripts, no cookies, for any screen."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

_WEIGHT = re.compile(r"q\s*=\s*([01](?:\.[0-9]{0,3})?)", re.IGNORECASE)

TEXTS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "Unsubscribe",
        "question": "Do you want to stop getting mail from us at {address}?",
        "button": "Unsubscribe",
        "done": "{address} is unsubscribed. You will get no more of these mails.",
        "unknown": "This link is not known here, so nobody was unsubscribed.",
        "later": "This cannot be recorded right now, so nobody was unsubscribed. Please try again later.",
        "write": "You can also write to {mailto}.",
    },
    "de": {
        "title": "Abmelden",
        "question": "Möchten Sie an {address} keine Nachrichten mehr von uns bekommen?",
        "button": "Abmelden",
        "done": "{address} ist abgemeldet. Sie bekommen keine dieser Nachrichten mehr.",
        "unknown": "Dieser Link ist hier nicht bekannt. Es wurde niemand abgemeldet.",
        "later": "Das kann gerade nicht gespeichert werden, und niemand wurde abgemeldet. Bitte versuchen Sie"
        " es später noch einmal.",
        "write": "Sie können auch an {mailto} schreiben.",
    },
    "fr": {
        "title": "Se désabonner",
        "question": "Voulez-vous ne plus recevoir nos messages à l’adresse {address} ?",
        "button": "Se désabonner",
        "done": "{address} est désabonnée. Vous ne recevrez plus ces messages.",
        "unknown": "Ce lien n’est pas connu ici. Personne n’a été désabonné.",
        "later": "L’enregistrement est impossible pour le moment. Personne n’a été désabonné, veuillez"
        " réessayer plus tard.",
        "write": "Vous pouvez aussi écrire à {mailto}.",
    },
    "es": {
        "title": "Darse de baja",
        "question": "¿Quiere dejar de recibir nuestros mensajes en {address}?",
        "button": "Darse de baja",
        "done": "{address} se ha dado de baja. No recibirá más mensajes de este tipo.",
        "unknown": "Este enlace no se conoce aquí. No se ha dado de baja a nadie.",
        "later": "Ahora mismo no se puede guardar. No se ha dado de baja a nadie; inténtelo más tarde.",
        "write": "También puede escribir a {mailto}.",
    },
    "it": {
        "title": "Annulla l’iscrizione",
        "question": "Vuole non ricevere più i nostri messaggi a {address}?",
        "button": "Annulla l’iscrizione",
        "done": "{address} non è più iscritto. Non riceverà altri messaggi di questo tipo.",
        "unknown": "Questo link non è noto qui. Nessuna iscrizione è stata annullata.",
        "later": "Al momento non è possibile registrarlo. Nessuna iscrizione è stata annullata, riprovi più"
        " tardi.",
        "write": "Può anche scrivere a {mailto}.",
    },
    "nl": {
        "title": "Afmelden",
        "question": "Wilt u op {address} geen berichten meer van ons krijgen?",
        "button": "Afmelden",
        "done": "{address} is afgemeld. U krijgt deze berichten niet meer.",
        "unknown": "Deze link is hier niet bekend. Er is niemand afgemeld.",
        "later": "Dit kan nu niet worden opgeslagen. Er is niemand afgemeld; probeer het later nog eens.",
        "write": "U kunt ook schrijven naar {mailto}.",
    },
}
"""The pages' texts by language; `unsubscribe.texts` in a campaign file can replace each of them."""

_STYLE = (
    ":root{color-scheme:light dark}"
    "body{margin:0;display:grid;min-height:100vh;place-items:center;font:17px/1.5 system-ui,sans-serif;"
    "background:light-dark(#f4f3ef,#151816);color:light-dark(#1c2420,#e7ebe6)}"
    "main{box-sizing:border-box;max-width:34rem;width:100%;padding:2rem 1.5rem}"
    "h1{font-size:1.4rem;line-height:1.3;margin:0 0 1rem}p{margin:0 0 1.5rem;overflow-wrap:anywhere}"
    "button{font:inherit;font-weight:600;padding:.7rem 1.4rem;border:0;border-radius:.5rem;cursor:pointer;"
    "background:light-dark(#1c6549,#86d3af);color:light-dark(#fff,#10201a)}"
    "button:focus-visible{outline:3px solid currentColor;outline-offset:2px}a{color:inherit}"
)


def _by_weight(accepted: str) -> list[str]:
    """Return the languages of an Accept-Language by descending weight, without those of weight 0."""
    found: list[tuple[float, str]] = []
    for entry in accepted.split(","):
        name, _, parameter = entry.partition(";")
        weight = _WEIGHT.fullmatch(parameter.strip())
        found.append((float(weight[1]) if weight is not None else 1.0, name.strip()))
    return [name for weight, name in sorted(found, key=lambda one: -one[0]) if weight > 0]


class Pages:
    """The pages of one campaign. `own` are the campaign's own texts by language."""

    def __init__(self, own: Mapping[str, Mapping[str, str]], mailto: str) -> None:
        languages = {*TEXTS, *own}
        self._texts = {
            language: {**TEXTS["en"], **TEXTS.get(language, {}), **own.get(language, {})}
            for language in languages
        }
        self._mailto = mailto

    def language(self, *wanted: str) -> str:
        """Return the first of the wanted languages that has texts, or "en".

        Each argument is a language, `de` or `de-AT`, or an Accept-Language (RFC 9110 12.5.4).
        """
        for text in wanted:
            for name in _by_weight(text.lower().replace("_", "-")):
                for language in (name, name.partition("-")[0]):
                    if language in self._texts:
                        return language
        return "en"

    def question(self, language: str, address: str) -> str:
        """Return the page with the button; `address` is shown masked."""
        texts = self._texts[language]
        button = f'<button name="List-Unsubscribe" value="One-Click">{escape(texts["button"])}</button>'
        form = f'<form method="post">{button}</form>'
        return self._page(language, _with(texts["question"], address=masked(address)), form)

    def done(self, language: str, address: str) -> str:
        """Return the page that confirms it."""
        return self._page(language, _with(self._texts[language]["done"], address=masked(address)))

    def failed(self, language: str, what: str) -> str:
        """Return a page that says that nobody was unsubscribed; `what` is `unknown` or `later`."""
        more = ""
        if self._mailto:
            link = f'<a href="mailto:{escape(self._mailto)}">{escape(self._mailto)}</a>'
            more = f"<p>{escape(self._texts[language]['write']).replace('{mailto}', link)}</p>"
        return self._page(language, escape(self._texts[language][what]), more)

    def _page(self, language: str, said: str, more: str = "") -> str:
        title = escape(self._texts[language]["title"])
        return (
            f'<!DOCTYPE html>\n<html lang="{escape(language)}"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<meta name="robots" content="noindex"><title>{title}</title><style>{_STYLE}</style></head>'
            f"<body><main><h1>{title}</h1><p>{said}</p>{more}</main></body></html>\n"
        )


def masked(address: str) -> str:
    """Return an address so that only its owner recognises it: `a•••@example.com`."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}•••@{domain}"


def _with(text: str, *, address: str) -> str:
    return escape(text).replace("{address}", f"<bdi>{escape(address)}</bdi>")
