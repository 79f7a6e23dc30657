"""A task without documents: mails to the firm, each with the queue that it goes to. Knows wordings and the house's rules.

Queues have invented names, so that which mail goes where is learned from examples. Two rules of the house come before the
subject of a mail: whoever names a service contract goes to the contract queue, and whoever is angry to the last queue.
"""

from __future__ import annotations

from dataclasses import dataclass

from groundtune.company.names import World
from groundtune.company.values import stream

MAILS = 280

_SUBJECTS = (
    (
        "the {product} has stopped and shows {code}",
        "there is smoke coming out of our {product}",
        "since this morning the {product} only hums",
        "our {product} trips the fuse again and again",
        "the lid of the {product} will not close any more",
        "oil is dripping from the {product} onto the floor",
        "the {product} got stuck with forty kilos of dough in it",
        "nothing moves on the {product}, although the lamp is on",
    ),
    (
        "please send two belts for the {product}",
        "I need a new seal for our {product} before Friday",
        "do you still have handles for a {product} from {year}?",
        "we would like to order knives for the {product}",
        "could you tell me which filter fits the {product}?",
        "the crumb tray of the {product} broke, what does another cost?",
        "kindly reserve a drive for the {product} in our name",
        "we lost the hook of the {product} and want to buy one",
    ),
    (
        "the invoice of {month} lists a visit that never took place",
        "we were charged twice for the {product}",
        "please split the bill for the {product} into three parts",
        "your reminder crossed our payment of {month}",
        "our tax number is missing on the last invoice",
        "the amount for {month} does not match the offer",
        "could we have a copy of the bill for {month}?",
        "the bank returned our transfer for the {product}, where do we pay?",
    ),
    (
        "we are thinking of a second {product}, what would it cost?",
        "a cousin opens a bakery in {town} and asks for an offer",
        "is the {product} also available in a larger size?",
        "could we borrow a {product} for our open day?",
        "what would you give us for our old mixer if we bought a {product}?",
        "please send somebody with a catalogue to {town}",
        "which of your machines suits a shop with two bakers?",
        "we saw the {product} at the fair and liked it",
    ),
    (
        "where is the {product} that was promised for {month}?",
        "the lorry brought the wrong machine to {town}",
        "could the {product} arrive after the holidays instead?",
        "the crate of the {product} was open and wet",
        "nobody was at the door when your driver came to {town}",
        "please deliver to the back yard, the street in {town} is closed",
        "how long is the way of a {product} to {town}?",
        "we are moving in {month} and need another address on the order",
    ),
    (
        "two of our bakers would like to learn how to use the {product}",
        "is there a course on rye in {month}?",
        "our trainee broke the settings of the {product}, can somebody teach him?",
        "how many people may come to the lesson in {town}?",
        "please send the recipe that you showed us on the {product}",
        "could your baker visit us in {month} for a day of practice?",
        "we want to book the baking school for our whole crew",
        "is there a film that explains the {product} to beginners?",
    ),
)
"""Ways to put each subject; the queues after these are those of the two rules."""
_OPENINGS = (
    "Good morning, ",
    "Dear all, ",
    "Hello, ",
    "To whom it may concern: ",
    "It is {customer} here; ",
    "This is {customer} in {town}, ",
    "Sorry to bother you, but ",
    "A short one: ",
    "As I said on the phone, ",
    "I write for {customer}; ",
    "",
    "From the bakery in {town}: ",
)
_CONTRACTS = (
    " We have {plan}, by the way.",
    " Our contract is {plan}.",
    " It should be covered by {plan}.",
    " Please look at what {plan} says about it.",
    " Does this fall under {plan}?",
)
_ANGER = (
    " This is the third time I write, and I am fed up.",
    " If I hear nothing today, you will hear from my lawyer.",
    " Frankly, this is a disgrace.",
    " I will tell everybody in the guild how you treat people.",
    " My patience is at an end.",
)
_CLOSINGS = (
    "",
    " Thank you.",
    " Please call before noon.",
    " Regards from {town}.",
    " An answer by mail is enough.",
    " We open at six.",
    " Best wishes, the early shift",
    " It is not urgent.",
    " Somebody is here until two.",
    " Many thanks in advance.",
)
_MONTHS = ("January", "March", "April", "June", "August", "October", "November")
_CONTRACT_QUEUE, _ANGRY_QUEUE = len(_SUBJECTS), len(_SUBJECTS) + 1


@dataclass(frozen=True, slots=True)
class Mail:
    id: str
    text: str
    queue: str


def mails(seed: int, world: World, *, count: int = MAILS) -> tuple[Mail, ...]:
    """Mails with their queues, no two alike, every subject about as often as the others."""
    queues = world.of("queue")
    found: dict[str, str] = {}
    number = 0
    while len(found) < count:
        source = stream(seed, "mail", number)
        subject = number % len(_SUBJECTS)
        number += 1
        text = source.choice(_OPENINGS) + source.choice(_SUBJECTS[subject])
        text += "" if text.endswith("?") else source.choice((".", ".", "!", "..."))
        queue = subject
        if source.random() < 1 / len(queues):
            text, queue = text + source.choice(_CONTRACTS), _CONTRACT_QUEUE
        if source.random() < 1 / len(queues):
            text, queue = text + source.choice(_ANGER), _ANGRY_QUEUE
        text = (text + source.choice(_CLOSINGS)).format(
            product=source.choice(world.of("product")),
            customer=source.choice(world.of("customer")),
            town=world.names[f"customer.{source.randrange(world.counts['customer'])}.town"],
            plan=source.choice(world.of("plan")),
            month=source.choice(_MONTHS),
            year=source.randrange(2009, 2024),
            code=f"E{source.randrange(10, 99)}",
        )
        found.setdefault(text[0].upper() + text[1:], queues[queue])
    return tuple(Mail(f"mail-{place:03d}", text, queue) for place, (text, queue) in enumerate(found.items(), start=1))
