"""A task without documents: questions to a database of orders and visits, answered with SQL. Knows the house's terms.

What the house means by sales, active, large, overdue and free is nowhere written down: it is learned from examples.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from groundtune.company.names import World
from groundtune.company.values import stream

TODAY = date(2026, 3, 31)
QUESTIONS = 160

SCHEMA = (
    "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, town TEXT, region TEXT, since INTEGER)",
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER, product TEXT, day TEXT, amount INTEGER, status TEXT)",
    "CREATE TABLE visits (id INTEGER PRIMARY KEY, customer_id INTEGER, day TEXT, hours REAL, charge INTEGER)",
)
_REGIONS = ("north", "coast", "hills")
_STATUS = ("paid", "paid", "paid", "sent", "returned", "cancelled")
_JOIN = "FROM orders JOIN customers ON customers.id = customer_id"

_FORMS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        (
            "What were the sales of {year}?",
            "How much did we sell in {year}?",
            "Sales in {year}, please.",
            "{year}: what came in?",
        ),
        "SELECT sum(amount) FROM orders WHERE status = 'paid' AND day LIKE '{year}%'",
    ),
    (
        ("What were the sales of the {product}?", "How much money did the {product} bring?", "The {product}: sales in all?"),
        "SELECT sum(amount) FROM orders WHERE status = 'paid' AND product = '{product}'",
    ),
    (
        ("Sales in the {region}?", "How much did the region {region} bring in?", "What did we sell in the {region}?"),
        "SELECT sum(amount) " + _JOIN + " WHERE status = 'paid' AND region = '{region}'",
    ),
    (
        ("Sales with {customer}?", "What did {customer} spend on us?", "How much have we earned from {customer}?"),
        "SELECT sum(amount) " + _JOIN + " WHERE status = 'paid' AND name = '{customer}'",
    ),
    (
        (
            "How many active customers are in the {region}?",
            "Active customers, {region}: how many?",
            "Who still buys in the {region}? The number.",
        ),
        "SELECT count(DISTINCT customer_id) " + _JOIN + " WHERE day >= '{active}' AND region = '{region}'",
    ),
    (
        ("How many active customers bought a {product}?", "Of the active ones, how many took the {product}?"),
        "SELECT count(DISTINCT customer_id) FROM orders WHERE day >= '{active}' AND product = '{product}'",
    ),
    (
        ("List the large orders of {year}.", "Which orders of {year} were large?", "Large orders, {year}: their numbers?"),
        "SELECT id FROM orders WHERE amount >= {large} AND day LIKE '{year}%'",
    ),
    (
        ("How many large orders came from {customer}?", "Did {customer} place large orders? Count them."),
        "SELECT count(*) " + _JOIN + " WHERE amount >= {large} AND name = '{customer}'",
    ),
    (
        ("How many large orders did we get for the {product}?", "The {product}: number of large orders?"),
        "SELECT count(*) FROM orders WHERE amount >= {large} AND product = '{product}'",
    ),
    (
        ("Which orders from the {region} are overdue?", "Overdue in the {region}: which orders?"),
        "SELECT orders.id " + _JOIN + " WHERE status = 'sent' AND day < '{overdue}' AND region = '{region}'",
    ),
    (
        ("How much is overdue for the {product}?", "What sum do we still wait for too long, for the {product}?"),
        "SELECT sum(amount) FROM orders WHERE status = 'sent' AND day < '{overdue}' AND product = '{product}'",
    ),
    (
        (
            "How many free visits were there in {year}?",
            "Free visits, {year}: how many?",
            "In {year}, how often did we drive for nothing?",
        ),
        "SELECT count(*) FROM visits WHERE charge = 0 AND day LIKE '{year}%'",
    ),
    (
        ("How many hours did we spend at {customer}?", "Time spent on visits to {customer}?", "Hours at {customer} in all?"),
        "SELECT sum(hours) FROM visits JOIN customers ON customers.id = customer_id WHERE name = '{customer}'",
    ),
    (
        ("How many free visits did {customer} get?", "Did we ever visit {customer} for nothing? How often?"),
        "SELECT count(*) FROM visits JOIN customers ON customers.id = customer_id WHERE charge = 0 AND name = '{customer}'",
    ),
    (
        (
            "How many visits of {year} were long?",
            "Long visits in {year}: the number?",
            "How often did a visit in {year} take long?",
        ),
        "SELECT count(*) FROM visits WHERE hours > {long} AND day LIKE '{year}%'",
    ),
    (
        ("Which customers in the {region} are old friends?", "Name the old friends in the {region}."),
        "SELECT name FROM customers WHERE since <= {friend} AND region = '{region}'",
    ),
    (
        ("How many {product}s were returned?", "Returns of the {product}: how many?", "How often did a {product} come back?"),
        "SELECT count(*) FROM orders WHERE status = 'returned' AND product = '{product}'",
    ),
    (
        ("In which town is {customer}?", "Where is {customer}?", "The town of {customer}?"),
        "SELECT town FROM customers WHERE name = '{customer}'",
    ),
)


@dataclass(frozen=True, slots=True)
class Query:
    id: str
    question: str
    sql: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """Rows of the three tables, in the order of their columns, and questions to them."""

    customers: tuple[tuple[int, str, str, str, int], ...]
    orders: tuple[tuple[int, int, str, str, int, str], ...]
    visits: tuple[tuple[int, int, str, float, int], ...]
    queries: tuple[Query, ...]


def ledger(seed: int, world: World, *, count: int = QUESTIONS) -> Ledger:
    """Three years of business up to `TODAY`; no two questions are alike."""
    source = stream(seed, "ledger")
    names = world.of("customer")
    customers = tuple(
        (number, name, world.names[f"customer.{number - 1}.town"], source.choice(_REGIONS), source.randrange(2004, 2024))
        for number, name in enumerate(names, start=1)
    )

    def day() -> str:
        return (TODAY - timedelta(days=source.randrange(1180))).isoformat()

    products = world.of("product")
    orders = tuple(
        (
            number,
            source.randrange(len(names)) + 1,
            source.choice(products),
            day(),
            source.randrange(20, 400) * 50,
            source.choice(_STATUS),
        )
        for number in range(1, 301)
    )
    visits = tuple(
        (number, source.randrange(len(names)) + 1, day(), source.randrange(1, 18) / 2, source.choice((0, 0, 90, 140, 260)))
        for number in range(1, 201)
    )
    found: dict[str, str] = {}
    for question, sql in _asked(seed, world):
        found.setdefault(question, sql)
        if len(found) == count:
            break
    queries = tuple(Query(f"query-{place:03d}", question, sql) for place, (question, sql) in enumerate(found.items(), start=1))
    return Ledger(customers, orders, visits, queries)


def save(books: Ledger, path: Path) -> None:
    """Write the tables as a SQLite file, which must not exist."""
    with closing(sqlite3.connect(path)) as connection:
        for table in SCHEMA:
            connection.execute(table)
        connection.executemany("INSERT INTO customers VALUES (?, ?, ?, ?, ?)", books.customers)
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?)", books.orders)
        connection.executemany("INSERT INTO visits VALUES (?, ?, ?, ?, ?)", books.visits)
        connection.commit()


def _asked(seed: int, world: World) -> Iterator[tuple[str, str]]:
    """Endless questions with their SQL; the terms of the house are drawn once."""
    house = stream(seed, "terms")
    terms = {
        "active": (TODAY - timedelta(days=house.choice((180, 270, 365, 540)))).isoformat(),
        "overdue": (TODAY - timedelta(days=house.choice((21, 30, 45, 60)))).isoformat(),
        "large": house.randrange(11, 17) * 1000,
        "long": house.randrange(4, 7),
        "friend": house.randrange(2008, 2013),
    }
    number = 0
    while True:
        source = stream(seed, "query", number)
        wordings, sql = _FORMS[number % len(_FORMS)]
        number += 1
        slots = {
            "year": source.randrange(2023, 2026),
            "product": source.choice(world.of("product")),
            "customer": source.choice(world.of("customer")),
            "region": source.choice(_REGIONS),
        }
        yield source.choice(wordings).format(**slots), sql.format(**slots, **terms)
