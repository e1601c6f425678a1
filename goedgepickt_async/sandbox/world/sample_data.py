"""Invented names and words that rows are made of. None belongs to a real person, shop or carrier account."""

from __future__ import annotations

from typing import Final

FIRST_NAMES: Final = (
    "Aafke", "Bram", "Cato", "Daan", "Eefje", "Ferre", "Guusje", "Hidde", "Ilse", "Jurre", "Kiki", "Lotte",
    "Mees", "Noor", "Odin", "Pien", "Quinten", "Roos", "Siem", "Tess", "Ulrich", "Veerle", "Wout", "Xander",
    "Yfke", "Zoë", "Renée", "Søren", "Łukasz", "Jürgen", "Chloé", "Iñaki",
)  # fmt: skip
LAST_NAMES: Final = (
    "van Testeren", "de Voorbeeld", "Proefstra", "Verzonnen", "Nepveld", "Schijnhuis", "Fictema", "Zandbak",
    "ter Probeer", "Oefenaar", "van 't Model", "Bedachtsma", "Dummyers", "Müsterfrau", "Łatkowski", "Élève",
)  # fmt: skip
STREETS: Final = (
    "Voorbeeldstraat", "Testlaan", "Proefweg", "Zandbakplein", "Modelkade", "Oefensingel", "Fictiehof",
    "Weiße Gasse", "Rue de l'Épreuve", "Nepgracht",
)  # fmt: skip
SECOND_LINES: Final = ("3e verdieping", "t.a.v. het magazijn", "Gebouw Ø, achteringang")
CITIES: Final = (
    ("Voorbeeldstad", "NL"), ("Testdam", "NL"), ("Proefhoven", "NL"), ("'s-Zandbakhage", "NL"),
    ("Oefenwoude", "NL"), ("Modelgem", "BE"), ("Prüfstadt", "DE"), ("Villefictive", "FR"),
)  # fmt: skip
COMPANIES: Final = ("Voorbeeld B.V.", "Zandbak & Zn.", "Proef VOF", "Nep/Echt Holding", "Café Fictie")
CARRIERS: Final = ("PostNL", "DHL", "DPD", "GLS", "bpost", "Afhalen")
PAYMENTS: Final = ("ideal", "bancontact", "creditcard", "paypal", "banktransfer")
TAGS: Final = ("spoed", "cadeau", "b2b", "fragiel", "één doos")
NOTES: Final = ("Graag bij de buren afgeven", "Bel aan bij nr. 12/A", "Niet knijpen s.v.p.", "Geschenk 🎁 inpakken")
ADJECTIVES: Final = (
    "Blauwe", "Rode", "Kleine", "Grote", "Zachte", "Stevige", "Ronde", "Houten", "Wollen", "Geëmailleerde",
    "Crème", "Handgemaakte",
)  # fmt: skip
NOUNS: Final = (
    "mok", "lamp", "tas", "trui", "stoel", "kaars", "plaid", "vaas", "klok", "théédoek", "knikker", "puzzel",
)  # fmt: skip
SHOP_WORDS: Final = ("Bloem", "Fiets", "Keuken", "Speel", "Lees", "Tuin", "Sport", "Wol", "Koffie", "Licht")
PLATFORMS: Final = ("woocommerce", "magento2", "shopify", "vendure", "lightspeed")
PLACEHOLDER_PICTURE: Final = "https://account.example.test/images/image_placeholder.png"
