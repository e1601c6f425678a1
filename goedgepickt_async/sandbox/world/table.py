"""The base of the world: settings, ids, dates, rows, changes, and the invented words that rows are made of."""

from __future__ import annotations

import enum
import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from hashlib import blake2b
from typing import Any, Final
from zoneinfo import ZoneInfo

import attrs


@attrs.frozen(kw_only=True)
class WorldSettings:
    """The sizes and the seed of a world; the same settings give the same world in every process. See `Sandbox`.

    The generated rows end at the Unix second `until`, or at noon of `today`.
    """

    orders: int = attrs.field(default=300, validator=attrs.validators.ge(0))
    products: int = attrs.field(default=100, validator=attrs.validators.ge(0))
    shipments: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(0)))
    webshops: int = attrs.field(default=2, validator=attrs.validators.in_(range(1, 251)))
    pick_locations: int = attrs.field(default=20, validator=attrs.validators.ge(1))
    seed: int = 1
    today: date = date(2026, 11, 1)
    until: int | None = None
    oddities: bool = True

    def __repr__(self) -> str:
        """Also of settings that were refused, and so have no values."""
        values = (f"{field.name}={getattr(self, field.name, '?')!r}" for field in attrs.fields(WorldSettings))
        return f"WorldSettings({', '.join(values)})"

    @property
    def end(self) -> int:
        """The Unix second at which the generated history ends."""
        return day_start(self.today) + 12 * 3600 if self.until is None else self.until

    def with_sizes(self, *, until: int | None = None, **sizes: Any) -> WorldSettings:
        """Return other settings; without `until`, the generated history ends as before.

        Raises:
            ValueError: The setting does not exist or cannot have this value.
        """
        known = ("oddities", "orders", "pick_locations", "products", "seed", "shipments", "webshops")
        for name, value in sizes.items():
            if name not in known:
                raise ValueError(f"there is no size {name!r}; there are {', '.join(known)}")
            wanted = bool if name == "oddities" else int
            if type(value) is not wanted and not (name == "shipments" and value is None):
                raise ValueError(
                    f"{name} must be {'true or false' if wanted is bool else 'a whole number'}, not {value!r}"
                )
            if name in {"orders", "products", "shipments", "pick_locations"} and (value or 0) > _LARGEST:
                raise ValueError(f"{name} can be at most {_LARGEST}, not {value}")
        return attrs.evolve(self, **{**({} if until is None else {"until": until}), **sizes})


_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class SeededIds:
    """Derives everything random from one seed, by keyed hashing: the same in every process and version.

    A uuid is a keyed hash of the row's kind and number, with the number itself hidden in its last 48 bits. So a
    uuid can be turned back into the number, and a uuid that was never given out is recognised.
    """

    def __init__(self, seed: int) -> None:
        key = blake2b(str(seed).encode(), digest_size=32).digest()
        # A copy of a hash that has taken the key costs less than a new one.
        self._draws = blake2b(key=key, digest_size=64)
        self._tags = blake2b(key=key, digest_size=10)
        self._masks = blake2b(key=key, digest_size=6)

    def draw(self, kind: str, index: int) -> bytes:
        """Return 64 random bytes that belong to this row."""
        drawn = self._draws.copy()
        drawn.update(f"{kind}:{index}".encode())
        return drawn.digest()

    def uuid(self, kind: str, index: int) -> str:
        """Return the uuid (version 4 in form) of row `index` of the kind."""
        tagged = self._tags.copy()
        tagged.update(f"uuid:{kind}:{index}".encode())
        tag = tagged.hexdigest()
        variant = "89ab"[int(tag[15], 16) & 3]
        head = f"{tag[:8]}-{tag[8:12]}-4{tag[12:15]}-{variant}{tag[16:19]}"
        return f"{head}-{index ^ self._mask(kind, head):012x}"

    def index(self, kind: str, uuid: str) -> int | None:
        """Return the number of the row that has this uuid, or None if no row of the kind can have it."""
        uuid = uuid.lower()
        if not _UUID.fullmatch(uuid):
            return None
        index = int(uuid[24:], 16) ^ self._mask(kind, uuid[:23])
        return index if self.uuid(kind, index) == uuid else None

    def _mask(self, kind: str, head: str) -> int:
        mask = self._masks.copy()
        mask.update(f"mask:{kind}:{head}".encode())
        return int.from_bytes(mask.digest())


AMSTERDAM: Final = ZoneInfo("Europe/Amsterdam")
_LARGEST: Final = 2_000_000
"""How many rows of a kind can be asked for over HTTP."""
SPAN_DAYS: Final = 365
"""Generated rows are spread over this many days before today."""


def day_start(day: date) -> int:
    """Return the Unix second at which the day begins in the Netherlands."""
    return int(datetime.combine(day, time(), AMSTERDAM).timestamp())


def parse_moment(text: str) -> int:
    """Return the Unix second of a date-time text; without an offset it is Dutch local time.

    Raises:
        ValueError: The text is not an ISO date or date-time.
    """
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=AMSTERDAM)).timestamp())


def write_moment(second: int, style: int = 0) -> str:
    """Write an instant as GoedGepickt may: 0 with a space, 1 with a T, both Dutch and naive; 2 in UTC with a Z."""
    if style == 2:
        return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    local = datetime.fromtimestamp(second, AMSTERDAM)
    return local.isoformat(sep=" T"[style])[: len("2026-11-01 09:30:00")]


class Calendar:
    """Spreads `count` rows evenly over the year before `end`, in order."""

    def __init__(self, end: int, count: int) -> None:
        self._start = int((datetime.fromtimestamp(end, UTC) - timedelta(days=SPAN_DAYS)).timestamp())
        self._step = (end - self._start) / max(1, count)

    def moment(self, index: int) -> int:
        """Return the Unix second of row `index`; it grows strictly with the index up to millions of rows."""
        # A third of a step of wobble, so that the rows look natural and still never change places.
        wobble = (index * 7919 % 97) / 97 / 3
        return self._start + int((index + wobble) * self._step)


Row = dict[str, Any]
"""One thing as the API serves it."""


class Table(Sequence[Row]):
    """A sequence of the rows that live, oldest first, behind numbers that never change.

    Every row has a number (its *index*): generated rows come first, new ones count on. Deleting leaves a hole.
    As a sequence, `table[0]` is the oldest living row, with any number.
    """

    def __init__(
        self,
        kind: str,
        generated: int,
        make: Callable[[int], Row],
        identity: SeededIds,
        dress: Callable[[int, Row], Row] | None = None,
    ) -> None:
        """Take the kind's name, the number of generated rows, and the function that makes one.

        `dress` adds, at each reading, what is kept elsewhere (a product's stock, an order's shipments).
        """
        self.kind = kind
        self.generated = generated
        self.size: int = generated
        self.version: int = 0
        """Grows with every change, so that what was computed from the rows can be kept until then."""
        self._make = make
        self._dress = dress
        self._identity = identity
        self._kept: dict[int, Row] = {}
        self._deleted: set[int] = set()
        self._living: tuple[int, Sequence[int]] = (0, range(generated))

    def uuid(self, index: int) -> str:
        return self._identity.uuid(self.kind, index)

    def find(self, uuid: str) -> int | None:
        """Return the index of the living row with this uuid, or None."""
        index = self._identity.index(self.kind, uuid)
        return index if index is not None and self.lives(index) else None

    def lives(self, index: int) -> bool:
        """Whether row `index` exists and is not deleted."""
        return 0 <= index < self.size and index not in self._deleted

    def row(self, index: int) -> Row:
        """Return row `index` as the API serves it, as a new object; to change the row use `put`."""
        bare = self.bare(index)
        return bare if self._dress is None else self._dress(index, bare)

    def bare(self, index: int) -> Row:
        """Return a copy of row `index` without what `dress` adds."""
        kept = self._kept.get(index)
        return self._make(index) if kept is None else dict(kept)

    def put(self, index: int, row: Row) -> None:
        """Keep this row from now on in the place of what was there."""
        self._kept[index] = row
        self.version += 1

    def add(self, row: Row) -> int:
        """Append a row and return its index."""
        index = self.size
        self.size += 1
        self.put(index, row)
        return index

    def delete(self, index: int) -> None:
        """Take a row away; its number is not given again."""
        self._deleted.add(index)
        self.version += 1

    def restore(self, index: int) -> None:
        """Bring a deleted row back to where it was."""
        self._deleted.discard(index)
        self.version += 1

    def keeps(self, index: int) -> bool:
        """Whether row `index` was changed or added, so that it no longer follows from the seed."""
        return index in self._kept

    def kept(self) -> list[int]:
        """Return the indices of changed and new rows that live, in order."""
        return sorted(index for index in self._kept if index not in self._deleted)

    def gone(self) -> frozenset[int]:
        """Return the indices of the deleted rows."""
        return frozenset(self._deleted)

    def living(self) -> Sequence[int]:
        """Return the indices of all living rows, in order."""
        if self._living[0] != self.version:
            self._living = (self.version, self._gather())
        return self._living[1]

    def _gather(self) -> Sequence[int]:
        if not self._deleted:
            return range(self.size)
        return array("I", (index for index in range(self.size) if index not in self._deleted))

    def __len__(self) -> int:
        return self.size - len(self._deleted)

    def __getitem__(self, position: Any) -> Any:
        """Return the living row at a position, or a list of rows for a slice."""
        if isinstance(position, slice):
            return [self.row(index) for index in self.living()[position]]
        return self.row(self.living()[position])

    def __iter__(self) -> Iterator[Row]:
        """Yield the living rows, oldest first."""
        return (self.row(index) for index in self.living())


class ChangeKind(enum.StrEnum):
    """The kinds of change that are announced."""

    ORDER_CREATED = "order.created"
    ORDER_STATUS_CHANGED = "order.statusChanged"
    ORDER_CHANGED = "order.changed"
    PRODUCT_CREATED = "product.created"
    PRODUCT_CHANGED = "product.changed"
    PRODUCT_STOCK_CHANGED = "product.stockChanged"
    SHIPMENT_CREATED = "shipment.created"
    SHIPMENT_CHANGED = "shipment.changed"
    WEBHOOK_CREATED = "webhook.created"


@attrs.frozen
class Change:
    """One change: its kind, the webshop (by index, None for the whole account) and the thing as it is now."""

    kind: ChangeKind
    webshop: int | None
    row: Row


Observer = Callable[[Change], None]
"""Called with each change, in the order in which they happen; it must not change the world."""


# Invented names and words that rows are made of. None belongs to a real person, shop or carrier account.
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
